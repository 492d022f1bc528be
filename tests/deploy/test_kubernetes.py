"""The manifests: valid for the API's schemas, restricted, and in step with the service."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import vesalius
from vesalius.service.settings import Settings

Manifests = dict[tuple[str, str], dict[str, Any]]


def test_the_schemas_accept_them(deploy: Path) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    files = [p for p in (deploy / "kubernetes" / "base").glob("*.yaml") if p.name != "secret.yaml"]
    count = 0
    for path in files:
        for one in yaml.safe_load_all(path.read_text()):
            if one["kind"] != "Kustomization":
                validate.validate(one, validate.latest_version(), strict=True)
                count += 1
    assert count >= 15


@pytest.mark.parametrize("overlay", ["base", "gpu"])
def test_kustomize_builds_them(deploy: Path, overlay: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", str(deploy / "kubernetes" / overlay)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    assert {one["metadata"].get("namespace") for one in built} == {"vesalius"}
    assert not [one for one in built if one["kind"] == "Secret"]
    images = {
        container["image"]
        for one in built
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    api = "vesalius-api" if overlay == "base" else "vesalius-api-cuda"
    assert images == {f"{n}:{vesalius.__version__}" for n in (api, "vesalius-web")}
    asked = [one for one in built if "nvidia.com/gpu" in json.dumps(one)]
    assert [one["metadata"]["name"] for one in asked] == ([] if overlay == "base" else ["api"])


def test_kustomization_lists_every_file(deploy: Path) -> None:
    folder = deploy / "kubernetes" / "base"
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())
    present = {p.name for p in folder.glob("*.yaml")} - {"kustomization.yaml", "secret.yaml"}
    assert set(said["resources"]) == present - {"secret.example.yaml"}
    assert {image["newTag"] for image in said["images"]} == {vesalius.__version__}
    assert (folder / ".gitignore").read_text() == "secret.yaml\n"


def pods(manifests: Manifests) -> dict[str, dict[str, Any]]:
    return {
        name: m["spec"]["template"]["spec"]
        for (kind, name), m in manifests.items()
        if kind == "Deployment"
    }


def test_pods_meet_the_restricted_standard(manifests: Manifests) -> None:
    """Pod Security Standards, "restricted"; and a read-only root with somewhere to write."""
    assert set(pods(manifests)) == {"api", "web"}
    for name, pod in pods(manifests).items():
        assert pod["automountServiceAccountToken"] is False
        assert ("ServiceAccount", pod["serviceAccountName"]) in manifests
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"], name
            assert container["resources"]["requests"]["cpu"], name
            mounts = {m["mountPath"] for m in container["volumeMounts"]}
            assert {"/tmp", "/var/lib/vesalius"} <= mounts
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert volumes == {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
        assert not [v for v in pod["volumes"] if "hostPath" in v]


def test_probes_and_ports_are_those_of_the_images(
    manifests: Manifests, stages: dict[str, list[tuple[str, str]]], started: dict[str, list[str]]
) -> None:
    ready, alive = {"api": "/readyz", "web": "/_stcore/health"}, {"api": "/healthz"}
    for name, pod in pods(manifests).items():
        (container,) = pod["containers"]
        (port,) = container["ports"]
        assert ("EXPOSE", str(port["containerPort"])) in stages[name]
        asked = [w.replace("http://api:8000", "$VESALIUS_API_URL") for w in container["args"]]
        assert asked == started[name]
        for probe in ("startupProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["path"] == ready[name]
        assert container["livenessProbe"]["httpGet"]["path"] == alive.get(name, ready[name])
        (front,) = manifests["Service", name]["spec"]["ports"]
        assert front["port"] == port["containerPort"]
        assert front["targetPort"] == port["name"]
        chosen = manifests["Service", name]["spec"]["selector"]
        labels = manifests["Deployment", name]["spec"]["template"]["metadata"]["labels"]
        assert chosen.items() <= labels.items()


def test_a_stopping_pod_has_time_to_finish(manifests: Manifests) -> None:
    pod = pods(manifests)["api"]
    asleep = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    # uvicorn waits five seconds beyond the grace.
    assert pod["terminationGracePeriodSeconds"] > asleep + Settings().grace + 5


def test_several_replicas_share_their_state(manifests: Manifests) -> None:
    scaler = manifests["HorizontalPodAutoscaler", "api"]["spec"]
    assert scaler["minReplicas"] >= 2
    # Two who decide how many there are would undo each other's work.
    assert "replicas" not in manifests["Deployment", "api"]["spec"]
    said = manifests["ConfigMap", "vesalius"]["data"]
    assert "://" in said["VESALIUS_PICTURES_URL"]
    env = {e["name"]: e for e in pods(manifests)["api"]["containers"][0]["env"]}
    wanted = env["VESALIUS_DATABASE_URL"]["valueFrom"]["secretKeyRef"]
    assert wanted["key"] in manifests["Secret", "vesalius"]["stringData"]
    for name in ("api", "web"):
        guard = manifests["PodDisruptionBudget", name]["spec"]
        labels = manifests["Deployment", name]["spec"]["template"]["metadata"]["labels"]
        assert guard["selector"]["matchLabels"].items() <= labels.items()


def test_secret_keys_that_are_asked_for_are_in_the_example(manifests: Manifests) -> None:
    known = manifests["Secret", "vesalius"]["stringData"]
    for pod in pods(manifests).values():
        for variable in pod["containers"][0]["env"]:
            if "valueFrom" in variable:
                assert variable["valueFrom"]["secretKeyRef"]["key"] in known


def test_who_has_signed_in_is_the_ingress_word(manifests: Manifests) -> None:
    env = {e["name"]: e.get("value") for e in pods(manifests)["web"]["containers"][0]["env"]}
    notes = manifests["Ingress", "web"]["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io/auth-"
    assert notes[f"{prefix}response-headers"] == env["VESALIUS_WEB_USER_HEADER"]
    assert notes[f"{prefix}url"].endswith("/oauth2/auth")
    (rule,) = manifests["NetworkPolicy", "web"]["spec"]["ingress"]
    (who,) = rule["from"]
    assert who["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "ingress-nginx"
    }


def test_nothing_comes_in_or_goes_out_unnamed(manifests: Manifests) -> None:
    shut = manifests["NetworkPolicy", "nothing-else"]["spec"]
    assert shut == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    into = manifests["NetworkPolicy", "web"]["spec"]["egress"]
    ports = [p["port"] for rule in into for p in rule["ports"]]
    assert sorted(ports) == [53, 53, 8000]  # names, and the API: the pages go nowhere else


def test_the_door_shows_what_callers_need_and_no_more(manifests: Manifests) -> None:
    from vesalius.service.app import ROUTES

    routes = {
        "/" + route.path.split("/")[1]: route.path
        for module in ROUTES
        for route in module.router.routes
    }
    inside = {"/metrics", "/healthz", "/readyz"}
    rules = manifests["Ingress", "api"]["spec"]["rules"][0]["http"]["paths"]
    shown = {rule["path"] for rule in rules}
    # What FastAPI adds by itself.
    assert shown == set(routes) - inside | {"/openapi.json"}
    for rule in rules:
        deeper = [r for r in routes.values() if r.startswith(rule["path"] + "/")]
        assert (rule["pathType"] == "Prefix") or not deeper, rule["path"]
