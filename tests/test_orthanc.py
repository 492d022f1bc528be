"""The example that forwards Orthanc's series, against a stub of Orthanc and a small server."""

from __future__ import annotations

import json
import sys
import threading
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "orthanc"
FILES = {"a": b"DICM one", "b": b"DICM \r\n two", "c": b"PDF"}


class Orthanc(ModuleType):
    """What the script uses of Orthanc's Python module."""

    ChangeType = SimpleNamespace(STABLE_SERIES=1, NEW_INSTANCE=2)

    def __init__(self) -> None:
        super().__init__("orthanc")
        self.notes: dict[str, bytes] = {}
        self.logged: list[str] = []
        self.LogWarning = self.LogError = self.logged.append

    def RegisterOnChangeCallback(self, call: object) -> None:
        self.changed = call

    def RestApiGet(self, path: str) -> bytes:
        _, kind, name, *more = path.split("/")
        if kind == "series":
            return json.dumps({"Instances": sorted(FILES)}).encode()
        if more == ["metadata"]:
            return json.dumps(["4200"] if name in self.notes else []).encode()
        return FILES[name]

    def RestApiPut(self, path: str, content: bytes) -> None:
        self.notes[path.split("/")[2]] = content


@pytest.fixture
def service():
    """A service that is busy once, refuses what is no picture, and takes the rest."""
    seen: list[tuple[str, bytes]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = self.rfile.read(int(self.headers["Content-Length"]))
            kind = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            part = BytesParser().parsebytes(kind + said).get_payload()[0]
            data = part.get_payload(decode=True)
            seen.append((part.get_param("name", header="content-disposition"), data))
            if len(seen) == 1:
                self._say(429, {"code": "overloaded"}, {"Retry-After": "0"})
            elif data == b"PDF":
                self._say(422, {"code": "dicom_no_pixels"}, {})
            else:
                assert self.headers["Authorization"] == "Bearer key_1"
                self._say(201, {"image_id": f"img_{len(seen)}"}, {})

        def _say(self, status: int, content: dict, headers: dict) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def test_a_stable_series_is_forwarded_once(service, monkeypatch) -> None:
    url, seen = service
    orthanc = Orthanc()
    monkeypatch.setitem(sys.modules, "orthanc", orthanc)
    monkeypatch.setenv("VESALIUS_URL", url)
    monkeypatch.setenv("VESALIUS_KEY", "key_1")
    spec = spec_from_file_location("orthanc_forward", FOLDER / "forward.py")
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    orthanc.changed(orthanc.ChangeType.NEW_INSTANCE, 0, "x")
    orthanc.changed(orthanc.ChangeType.STABLE_SERIES, 0, "s")
    script.series.join()
    assert [name for name, _ in seen] == ["image_file"] * 4  # one of them twice
    assert {data for _, data in seen} == set(FILES.values())
    assert orthanc.notes == {"a": b"img_2", "b": b"img_3"}
    assert orthanc.logged == ["vesalius refused c: dicom_no_pixels"]
    orthanc.changed(orthanc.ChangeType.STABLE_SERIES, 0, "s")
    script.series.join()
    assert len(seen) == 5  # what was refused is offered again, what was taken is not


def test_the_configuration_is_closed_to_strangers() -> None:
    said = json.loads((FOLDER / "orthanc.json").read_text())
    assert said["RemoteAccessAllowed"] is said["DicomAlwaysAllowStore"] is False
    assert said["DicomCheckModalityHost"] is said["DicomCheckCalledAet"] is True
    assert said["UserMetadata"] == {"vesalius-image": 4200}
    assert said["PythonScript"] == "forward.py"
