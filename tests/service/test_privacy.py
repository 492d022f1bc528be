"""What is told of callers and patients: nothing, in logs, metrics, errors and the audit log."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from serving import serving

from hostile import SECRETS, hostile

PLANTED = "Jane Q Doe born 1970-01-01"


def test_logs_and_metrics_hold_no_names_words_ids_or_secrets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from vesalius.service.telemetry import configure_logs

    configure_logs("json", "debug")
    with serving(tmp_path, keys="on", text_in_dicom="off", rate_per_minute=10_000) as api:
        secret = api.service.store.create_key(PLANTED, may_act_for_others=True)[1]
        api.client.headers |= {"Authorization": f"Bearer {secret}", "X-Vesalius-User": PLANTED}
        ids = []
        for name, (data, status, _) in hostile().items():
            answer = api.client.post(
                f"/upload_image?name={PLANTED}", files={"file": (f"{PLANTED}-{name}", data)}
            )
            assert answer.status_code in {status, 200}
            if answer.status_code < 300:
                ids.append(answer.json()["image_id"])
        for stream in (False, True):
            question = {
                "image_id": ids[0],
                "question": f"does {PLANTED} have a nodule?",
                "stream": stream,
            }
            assert api.client.post("/ask_question", json=question).status_code == 200
        api.client.post("/ask_question", json={"image_id": PLANTED, "question": PLANTED})
        api.client.post("/ask_question", content=PLANTED.encode())
        api.client.get(f"/images/{PLANTED}")
        api.client.get(f"/{PLANTED}")
        wrong = {"Authorization": f"Bearer {PLANTED}"}
        api.client.get("/conversations", headers=wrong)
        listed = api.client.get("/conversations").json()["conversations"]
        opinion = {"answer_id": "ans_0", "verdict": "up", "comment": PLANTED}
        api.client.post("/feedback", json=opinion)
        api.client.post(
            "/v1/chat/completions",
            json={"model": PLANTED, "messages": [{"role": "user", "content": PLANTED}]},
        )
        for model in ("echo", PLANTED):
            payload = {"model": model, "input": PLANTED, "previous_response_id": None}
            api.client.post("/v1/responses", json=payload)
            api.client.post("/v1/responses", json=payload | {PLANTED: 1})
        metrics = api.client.get("/metrics").text
        audit = [dict(row) for row in rows(api.service.settings.state / "vesalius.db")]
    written = "".join(capfd.readouterr())
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    assert len(lines) > 20
    assert {line["event"] for line in lines} >= {"request", "engine", "stopping"}
    output = written + metrics + json.dumps(audit)
    planted = ("Jane", "Doe", "1970-01-01", "nodule", secret, secret.split("_", 2)[2])
    for word in (*SECRETS, *planted):
        assert word not in output, word
    for name in (*ids, *(conversation["conversation_id"] for conversation in listed)):
        assert name not in output
    assert not re.search(r"(img|cnv|ans|own)_[0-9a-f]{8}", output)
    assert {row["event"] for row in audit} >= {"image.stored", "answer.given"}


def test_a_label_is_never_what_a_caller_wrote(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        for path in ("/x1", "/images/abc", "/v1/models/secret", "/neighbours/secret", "/metrics"):
            api.client.get(path)
        api.client.request("BREW", "/x")
        text = api.client.get("/metrics").text
        routes = set(re.findall(r'route="([^"]*)"', text))
        assert routes <= {
            "unknown",
            "/readyz",
            "/metrics",
            "/images/{image_id}",
            "/v1/models/{name:path}",
            "/neighbours/{key:path}",
        }


def test_metrics_count_what_was_done(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        api.ask(image_id=api.image_id(), question="one?")
        api.upload(b"nothing")
        text = api.client.get("/metrics").text
    for line in (
        'vesalius_uploads_total{kind="png"} 1.0',
        'vesalius_problems_total{code="unsupported_media_type"} 1.0',
        'vesalius_requests_total{method="POST",route="/ask_question",status="200"} 1.0',
        'vesalius_engine{what="ready"} 1.0',
        "vesalius_first_token_seconds_count 1.0",
        'vesalius_answers_total{finish="stop"} 1.0',
    ):
        assert line in text, line
    assert 'finish="cancelled"' not in text


def test_traces_hold_routes_and_no_ids(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="needs the extra telemetry")
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    got: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    with serving(tmp_path, otlp_endpoint=endpoint) as api:
        image_id = api.image_id()
        api.client.get(f"/images/{image_id}")
        api.ask(image_id=image_id, question=PLANTED)
    collector.shutdown()
    collector.server_close()
    sent = b"".join(got)
    assert b"/images/{image_id}" in sent
    assert image_id.encode() not in sent
    assert b"Jane" not in sent


def rows(database: Path) -> list[dict[str, object]]:
    import sqlite3

    with sqlite3.connect(database) as connection:
        connection.row_factory = sqlite3.Row
        return list(map(dict, connection.execute("select * from audit")))
