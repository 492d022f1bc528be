"""Several processes on one state, and processes that are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from vesalius.cases.reencode import Reencoded
from vesalius.service.store import Store
from vesalius.service.store.state import utc_now

WORKS = """
import json, sys
from datetime import timedelta
from vesalius.cases.reencode import Reencoded
from vesalius.errors import Refusal
from vesalius.service.store import Store
from vesalius.service.store.state import utc_now
url, pictures, shared = sys.argv[1:]
store = Store(url, pictures)
day = utc_now() + timedelta(days=1)
print("ready", flush=True)
sys.stdin.readline()
found = {"images": {}, "created": 0, "busy": 0, "asked": 0}
for number in range(20):
    sha = f"{number:064x}"
    kept = Reencoded(sha.encode(), ".png", 1, 1, "png")
    image, created = store.add_image("ada", sha, kept, expires_at=day)
    found["images"][sha] = image.id
    found["created"] += created
    try:
        turn = store.begin_turn("ada", shared, image.id, "what?", max_turns=100)
        store.finish_turn("ada", turn.answer_id, answer="this")
        found["asked"] += 1
    except Refusal as refusal:
        assert refusal.code == "conversation_busy", refusal
        found["busy"] += 1
    own = store.begin_turn("ada", None, image.id, "what?")
    store.finish_turn("ada", own.answer_id, answer="this")
    store.log("asked")
print(json.dumps(found))
"""


def files(folder: Path) -> list[Path]:
    return [p for p in (folder / "pictures").rglob("*") if p.is_file()]


def test_processes_at_work_at_once_share_one_state(url, tmp_path) -> None:
    store = Store(url, str(tmp_path / "pictures"))
    store.migrate()
    shared = store.new_conversation("ada").id
    command = [sys.executable, "-c", WORKS, url, str(tmp_path / "pictures"), shared]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    workers = [subprocess.Popen(command, text=True, **pipes) for _ in range(2)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    ended = [worker.communicate(timeout=100) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], ended
    one, two = (json.loads(out) for out, _ in ended)
    assert one["images"] == two["images"]
    assert one["created"] + two["created"] == len(set(one["images"].values())) == 20
    assert len(files(tmp_path)) == 20
    transcript = store.conversation("ada", shared)
    assert [t.position for t in transcript.turns] == list(range(one["asked"] + two["asked"]))
    assert all(t.state == "done" for t in transcript.turns)
    assert len(store.conversations("ada", limit=100).conversations) == 41
    entered = 40 + 40 + one["asked"] + two["asked"]  # "asked", own answers, shared answers
    assert (store.verify().ok, store.verify().count) == (True, entered)
    store.close()


LIVES = """
import sys
from datetime import timedelta
from vesalius.cases.reencode import Reencoded
from vesalius.service.store import Store
from vesalius.service.store.state import utc_now
url, pictures, life = sys.argv[1:]
store = Store(url, pictures)
store.migrate()
store.interrupt_pending(everyone=True)
day = utc_now() + timedelta(days=1)
conversation = None
for number in range(10_000):
    sha = f"{life}-{number}"
    kept = Reencoded(sha.encode() * 1000, ".png", 1, 1, "png")
    image, _ = store.add_image("ada", sha, kept, expires_at=day)
    print("image", image.id, sha, flush=True)
    turn = store.begin_turn("ada", conversation, image.id, f"what is {sha}?", max_turns=10_000)
    print("asked", turn.answer_id, sha, flush=True)
    store.finish_turn("ada", turn.answer_id, answer=f"it is {sha}")
    print("answered", turn.answer_id, sha, flush=True)
    store.log("asked")
    print("logged", turn.answer_id, sha, flush=True)
    conversation = turn.conversation_id
"""


@pytest.mark.slow
def test_twenty_times_killed_nothing_that_was_promised_is_lost(url, tmp_path) -> None:
    chance = random.Random(4)
    pictures, promised = str(tmp_path / "pictures"), []
    store = Store(url, pictures)
    store.migrate()
    for life in range(20):
        command = [sys.executable, "-c", LIVES, url, pictures, str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            lines = [process.stdout.readline() for _ in range(chance.randint(1, 24))]
            time.sleep(chance.uniform(0, 0.02))  # somewhere inside the next write
            os.kill(process.pid, signal.SIGKILL)
            lines += process.stdout.readlines()
        promised += [line.split() for line in lines if line.endswith("\n") and line.count(" ") == 2]
        check(store, promised)
    kinds = [kind for kind, *_ in promised]
    assert kinds.count("answered") >= 20
    later = utc_now() + timedelta(minutes=5)
    store.reconcile(later)
    check(store, promised)
    assert not [p for p in files(tmp_path) if p.name.startswith(".")]
    images = {thing for kind, thing, _ in promised if kind == "image"}
    assert images <= {p.stem for p in files(tmp_path)}
    store.close()


def check(store: Store, promised: list[list[str]]) -> None:
    for kind, thing, sha in promised[-400:]:
        if kind == "image":
            assert store.read_picture(store.image("ada", thing)) == sha.encode() * 1000
        elif kind == "asked":
            assert store.turn("ada", thing).question == f"what is {sha}?"
        elif kind == "answered":
            turn = store.turn("ada", thing)
            assert (turn.state, turn.answer) == ("done", f"it is {sha}")
    verified = store.verify()
    assert verified.ok, verified
    assert verified.count >= sum(kind == "logged" for kind, *_ in promised)


@pytest.mark.slow
def test_twenty_thousand_images_in_flat_memory(lite, tmp_path, clock, day, monkeypatch) -> None:
    # Not synced to the disk, which takes most of the time and none of the memory.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    with closing(lite._db._engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA synchronous=OFF")

    def add(start: int, stop: int) -> int:
        for number in range(start, stop):
            picture = Reencoded(f"{number}".encode() * 200, ".png", 1, 1, "png")
            lite.add_image("ada", f"{number:064x}", picture, expires_at=day)
        return psutil.Process().memory_info().rss

    early, late = add(0, 2000), add(2000, 20_000)
    assert late - early < 16 * 2**20, (early, late)
    assert len(files(tmp_path)) == 20_000
    clock.forward(minutes=5)
    assert lite.reconcile().rows_lost == 0
    clock.forward(days=1)
    assert lite.sweep().images == 20_000
    after = psutil.Process().memory_info().rss
    assert after - early < 32 * 2**20, (early, after)
    assert files(tmp_path) == []
