"""The load balancer's configuration: nginx reads it, and its limits fit the service's."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from vesalius.service.settings import MIB, Settings


def certificate(folder: Path) -> None:
    """A self-signed one for a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vesalius.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "tls.key").write_bytes(secret)


def test_nginx_reads_it(texts: dict[str, str], tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        pytest.skip("no nginx")
    certificate(tmp_path)
    text = texts["nginx/nginx.conf"].replace("/etc/vesalius/tls", str(tmp_path))
    text = text.replace("/run/nginx.pid", str(tmp_path / "pid"))
    (tmp_path / "nginx.conf").write_text(text)
    (tmp_path / "upstreams.conf").write_text(texts["nginx/upstreams.conf"])
    command = [nginx, "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # The folder that Debian's build names for its first lines may not be ours to write.
    warned = [line for line in done.stderr.splitlines() if "could not open error log" not in line]
    assert not warned


def said(text: str, directive: str) -> list[str]:
    return re.findall(rf"^\s*{directive}\s+(.*?);", text, re.M)


def test_its_limits_fit_the_services(texts: dict[str, str]) -> None:
    text, service = texts["nginx/nginx.conf"], Settings()
    most, page = (int(t.removesuffix("m")) for t in said(text, "client_max_body_size"))
    assert most * MIB == service.max_body
    assert f"proxy-body-size: {page}m" in texts["kubernetes/base/ingress.yaml"]
    config = tomllib.loads(files("vesalius.service.web").joinpath("config.toml").read_text())
    assert page > config["server"]["maxUploadSize"]
    (head,) = said(text, "client_header_timeout")
    assert int(head.removesuffix("s")) <= service.header_deadline
    streams = [t for t in said(text, "proxy_read_timeout") if t.endswith("s")]
    assert all(int(t[:-1]) > max(service.deadline, service.heartbeat) for t in streams)
    assert len(streams) == 1


def test_its_own_refusals_are_those_of_the_table(texts: dict[str, str]) -> None:
    from vesalius.errors import Refusal
    from vesalius.service.http import problems

    told = re.findall(r"return (\d+) '(\{.*\})';", texts["nginx/nginx.conf"])
    assert len(told) == 2
    for status, text in told:
        said = json.loads(text)
        ours = json.loads(problems.response(Refusal(said["code"], said["detail"]), "req_1").body)
        assert said | {"request_id": "req_1"} == ours
        assert str(ours["status"]) == status


def test_streams_pass_and_metrics_do_not(texts: dict[str, str]) -> None:
    text = texts["nginx/nginx.conf"]
    api = text.split("server_name api.")[1].split("server_name vesalius.")[0]
    assert "proxy_buffering off;" in api
    assert re.search(r"location = /metrics \{ return 404; \}", api)
    # A question is never asked twice: not after it may have reached a process.
    assert said(api, "proxy_next_upstream") == ["error timeout"]
    assert "non_idempotent" not in text
    pages = text.split("server_name vesalius.")[1]
    assert "auth_basic_user_file" in pages
    assert "proxy_set_header X-Forwarded-User $remote_user;" in pages
    assert 'proxy_set_header X-Vesalius-User "";' in pages
    assert "$http_upgrade" in pages


def test_logs_hold_neither_addresses_nor_paths(texts: dict[str, str]) -> None:
    text = texts["nginx/nginx.conf"]
    assert said(text, "error_log") == ["stderr crit"]
    (form,) = re.findall(r"log_format \w+ '(.*?)';", text)
    assert not re.search(r"remote_addr|request_uri|\$request |args|user|forwarded", form)


def test_every_place_that_passes_on_says_for_whom(texts: dict[str, str]) -> None:
    """One proxy_set_header in a block hides those of the blocks around it."""
    for block in re.findall(r"location / \{(.*?)\n    \}", texts["nginx/nginx.conf"], re.S):
        for header in ("Host $http_host", "X-Forwarded-For $remote_addr", "Connection"):
            assert f"proxy_set_header {header}" in block


def test_no_page_is_framed(texts: dict[str, str]) -> None:
    from vesalius.service.web.gate import UNFRAMED

    pages = texts["nginx/nginx.conf"].split("server_name vesalius.")[1]
    added = dict(one.removesuffix(" always").split(" ", 1) for one in said(pages, "add_header"))
    assert {name: added[name].strip('"') for name in UNFRAMED} == UNFRAMED
    # Twice the same header would be for the browser to make sense of.
    assert set(said(pages, "proxy_hide_header")) == set(UNFRAMED)
