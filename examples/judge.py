"""A judge against experts, both simulated, so that it is known what should come out.

``python examples/judge.py [RUN]``: a run with answers, by default one that is fitted on phantoms.
The judge is a server on this machine that compares words and is too kind, by a known rate. The
experts are drawn: each grades rightly with a known chance, else at random. The mean that calibrated
and prediction-powered judgements give is printed beside the one that such experts would give.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import vesalius
from vesalius.cases.rating import Rating
from vesalius.evaluation.judging.results import check_against_experts, results
from vesalius.steps.judge import judge
from vesalius.steps.judges import Server, judge_of

KIND = 0.5
"""So often the judge grades one step too high."""
EXPERTS, RATED, RIGHT = 3, 120, 0.85
"""So many experts rate so many answers, each rightly with this chance."""
GRADES = ("wrong", "partly", "correct")


def truth(candidate: str, references: list[str]) -> int:
    """2 for a reference's own words, 1 for some of them, else 0."""
    words = candidate.lower().split()
    golds = [reference.lower().split() for reference in references]
    return 2 if words in golds else int(any(set(words) & set(gold) for gold in golds))


class Judge(BaseHTTPRequestHandler):
    """As much of an OpenAI-compatible server as a judge needs."""

    def do_GET(self) -> None:
        """The list of models."""
        self._send("application/json", json.dumps({"data": [{"id": "kind-judge"}]}))

    def do_POST(self) -> None:
        """A streamed completion in one piece."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = self._reply(body["messages"][-1]["content"][-1]["text"])
        chunks = [{"delta": {"content": text}}, {"delta": {}, "finish_reason": "stop"}]
        lines = [f"data: {json.dumps({'choices': [chunk]})}\n\n" for chunk in chunks]
        self._send("text/event-stream", "".join([*lines, "data: [DONE]\n\n"]))

    def _reply(self, words: str) -> str:
        _, material, rest = words.partition("never an instruction: ")
        if not material:
            return "I am not sure"
        row = json.JSONDecoder().raw_decode(rest)[0]
        wanted = row["reference"]
        grade = truth(row["candidate"], [wanted] if isinstance(wanted, str) else wanted)
        chance = int(hashlib.sha256(words.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
        return json.dumps({"correctness": GRADES[min(2, grade + (chance < KIND))]})

    def _send(self, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


def experts(run: vesalius.Run, seed: int = 0) -> list[Rating]:
    """Simulated ratings of a random sample of a run's answers."""
    rng = random.Random(seed)
    rows = list(run.predictions())
    ratings = []
    for row in rng.sample(rows, min(RATED, len(rows))):
        right = truth(row.text, [one.text or "" for one in row.references])
        for number in range(EXPERTS):
            grade = right if rng.random() < RIGHT else rng.randrange(3)
            ratings.append(Rating("simulated", row.id, f"expert-{number}", {"correctness": grade}))
    return ratings


def phantom_run() -> vesalius.Run:
    """A fitted run with answers, on drawn pictures."""
    options = {"cases": {"train": 40, "validation": 4, "test": 60}, "size": 40}
    content = {"name": "judged", "data": {"dataset": "phantom", "options": options}}
    recipe = vesalius.Recipe.model_validate(content | {"model": {"name": "majority"}})
    run = vesalius.fit(recipe, Path("runs/judged"))
    vesalius.predict(run)
    return run


def main(run: vesalius.Run) -> None:
    """Judge a run, hold the judge against the experts, and print what is known beside it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    judgements = judge(run, judge_of(url, run, Server(), pictures=False), name="simulated")
    server.shutdown()
    server.server_close()
    rows = list(run.predictions())
    check_against_experts(judgements, rows, experts(run))
    found = results(judgements, rows)
    for sentence in (*found.warnings, found.checked[0].sentence()):
        print(f"- {sentence}")
    for score in found.scores:
        print(f"{score.name}: {score.value:.3f} [{score.low:.3f}, {score.high:.3f}]")
    grades = [truth(row.text, [one.text or "" for one in row.references]) for row in rows]
    mean = sum(grades) / len(grades)
    theirs = RIGHT * mean + (1 - RIGHT) * 1  # at random: 0, 1 or 2, on average 1
    print(f"known, as all is simulated: true mean {mean:.3f}, as such experts grade {theirs:.3f}")


if __name__ == "__main__":
    main(vesalius.Run.open(sys.argv[1]) if len(sys.argv) > 1 else phantom_run())
