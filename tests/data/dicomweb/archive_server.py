"""A small DICOMweb archive on loopback: lists in pages, objects as multipart, results stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pydicom
from scans import written


class Archive:
    """What it holds, what it was asked, and how it misbehaves (an answer by path's ending)."""

    def __init__(self, scans):
        self.scans = {scan.SOPInstanceUID: scan for scan in scans}
        self.requests: list[str] = []
        self.tokens: list[str | None] = []
        self.stored: list[pydicom.Dataset] = []
        self.odd: dict[str, int | bytes] = {}
        self.fail_store = 0
        self.url = ""

    def listed(self, path: list[str], query: dict) -> list[dict]:
        def row(scan):
            uids = {"0020000D": scan.StudyInstanceUID, "0020000E": scan.SeriesInstanceUID}
            uids |= {"00080018": scan.SOPInstanceUID}
            return {tag: {"vr": "UI", "Value": [str(uid)]} for tag, uid in uids.items()}

        rows = [
            scan
            for scan in self.scans.values()
            if scan.Modality in query.get("Modality", [scan.Modality])
        ]
        if "studies" in path:
            rows = [s for s in rows if s.StudyInstanceUID == path[path.index("studies") + 1]]
        if path[-1] == "series":
            found = list({scan.SeriesInstanceUID: row(scan) for scan in rows}.values())
        else:
            own = path[path.index("series") + 1]
            found = [row(scan) for scan in rows if own == scan.SeriesInstanceUID]
        start = int(query.get("offset", ["0"])[0])
        return found[start : start + int(query.get("limit", ["1000"])[0])]


@contextmanager
def serving(scans) -> Iterator[Archive]:
    archive = Archive(scans)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def answer(self, status, kind="application/dicom+json", body=b"[]"):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            parts = urlsplit(self.path)
            path = parts.path.strip("/").split("/")
            archive.requests.append(parts.path)
            archive.tokens.append(self.headers.get("Authorization"))
            odd = archive.odd.get(path[-1])
            if isinstance(odd, int):
                self.answer(odd)
            elif odd is not None and path[-1] == "series":
                self.answer(200, body=odd)
            elif path[-1] in ("series", "instances"):
                rows = archive.listed(path, parse_qs(parts.query))
                self.answer(200, body=json.dumps(rows).encode())
            else:
                data = odd or written(archive.scans[path[-1]])
                body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--b--"
                self.answer(200, 'multipart/related; type="application/dicom"; boundary=b', body)

        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            start = content.index(b"\r\n\r\n") + 4
            sent = pydicom.dcmread(BytesIO(content[start : content.rindex(b"\r\n--")]))
            made = pydicom.Dataset()
            item = pydicom.Dataset()
            item.ReferencedSOPInstanceUID = sent.SOPInstanceUID
            if archive.fail_store:
                item.FailureReason = archive.fail_store
                made.FailedSOPSequence = [item]
            else:
                archive.stored.append(sent)
                made.ReferencedSOPSequence = [item]
            self.answer(202 if archive.fail_store else 200, body=made.to_json().encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    archive.url = f"http://127.0.0.1:{server.server_port}/dicom-web"
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
