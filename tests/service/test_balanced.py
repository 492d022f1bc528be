"""Several real processes with one database and one folder of pictures, a load balancer in front."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from balancing import (
    ROOT,
    Cluster,
    Process,
    balanced,
    beside,
    client,
    environment,
    free_port,
    nginx,
)
from serving import png, until

pytestmark = pytest.mark.slow
STREAM = "one two three four five six seven eight nine ten eleven twelve"

_store = beside("store_conftest", ROOT / "tests" / "service" / "store" / "conftest.py")
postgresql, _server = _store.postgresql, _store._server
"""The store's tests start a PostgreSQL server; so do these."""


@pytest.fixture(
    params=[("nginx", "sqlite"), ("nginx", "postgresql"), ("plain", "sqlite")], ids="-".join
)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    kind, storage = request.param
    database = f"sqlite:///{tmp_path}/vesalius.db"
    if storage == "postgresql":
        database = str(request.getfixturevalue("postgresql"))
    env = environment(
        replay_seconds="1.0",
        state=str(tmp_path / "state"),
        database_url=database,
        pictures_url=str(tmp_path / "pictures"),
        keys="on",
        deadline="8",
        sweep_seconds="1",
    )
    processes = [Process(free_port(), env, tmp_path / f"log-{n}") for n in range(3)]
    try:
        # All at once on an empty database: one makes the tables, the others wait for it.
        for one in processes:
            one.start()
        make = [sys.executable, "-m", "vesalius", "keys", "create", "balanced"]
        key = subprocess.run(make, env=env, capture_output=True, text=True, check=True).stdout
        for one in processes:
            one.wait()
        ports = [one.port for one in processes]
        with balanced(kind, ports, tmp_path) as url:
            # No connection is kept, so that the plain balancer chooses anew for every request.
            headers = {"Authorization": f"Bearer {key.strip()}", "Connection": "close"}
            with client(url, **headers) as asking:
                yield Cluster(processes, asking)
    finally:
        for one in processes:
            if one.running is not None:
                one.kill()


def test_processes_share_everything_and_outlive_one_of_them(cluster: Cluster) -> None:
    conversation, image = any_process_goes_on_with_what_another_began(cluster)
    many_questions_are_shared_out(cluster, image)
    a_stream_passes_as_it_comes(cluster, image)
    one_is_killed_in_the_middle(cluster, image, conversation)
    it_comes_back(cluster, conversation)
    what_is_deleted_in_one_is_gone_in_all(cluster, conversation, image)


def any_process_goes_on_with_what_another_began(cluster: Cluster) -> tuple[str, str]:
    first, second, third = (cluster.direct(n) for n in range(3))
    with first, second, third:
        new = first.post("/upload_image", files={"image_file": png()})
        assert new.status_code == 201, new.text
        image = new.json()["image_id"]
        again = second.post("/upload_image", files={"image_file": png()})
        assert (again.status_code, again.json()["image_id"]) == (200, image)
        question = {"image_id": image, "question": "first?"}
        answer = second.post("/ask_question", json=question)
        assert answer.status_code == 200, answer.text
        conversation = answer.json()["conversation_id"]
        more = third.post(
            "/ask_question", json=question | {"question": "then?", "conversation_id": conversation}
        )
        assert more.json()["conversation_id"] == conversation
        whole = first.get(f"/conversations/{conversation}").json()
        assert [turn["question"] for turn in whole["messages"]] == ["first?", "then?"]
        assert third.get(f"/images/{image}").content == first.get(f"/images/{image}").content
    return conversation, image


def many_questions_are_shared_out(cluster: Cluster, image: str) -> None:
    before = [one.served() for one in cluster.processes]

    def ask(number: int) -> str:
        return str(cluster.ask(f"number {number}?", image_id=image)["answer"])

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, range(24)))
    assert answers == [f"You asked: number {n}?" for n in range(24)]
    served = [one.served() - b for one, b in zip(cluster.processes, before, strict=True)]
    assert sum(served) == 24
    assert min(served) >= 4, served  # eight each, if they were dealt out evenly


def a_stream_passes_as_it_comes(cluster: Cluster, image: str) -> None:
    question = {"image_id": image, "question": STREAM, "stream": True}
    with cluster.client.stream("POST", "/ask_question", json=question) as answer:
        assert answer.status_code == 200
        came = ((time.monotonic(), line) for line in answer.iter_lines())
        seen = [(at, line.split()[1]) for at, line in came if line.startswith("event:")]
    names = [name for _, name in seen]
    assert names[0] == "meta"
    assert names[-1] == "done"
    first = next(at for at, name in seen if name == "token")
    # The words of an echo are spread over a second: held back, they would come together.
    assert seen[-1][0] - first > 0.5


def one_is_killed_in_the_middle(cluster: Cluster, image: str, conversation: str) -> None:
    """kill -9 with questions in every process: each is answered, by another if it must be."""

    def ask(number: int) -> dict[str, Any]:
        return cluster.ask(f"kept {number}?", image_id=image)

    victim = cluster.processes[0]
    with ThreadPoolExecutor(12) as pool:
        pending = [pool.submit(ask, number) for number in range(12)]
        time.sleep(0.5)
        victim.kill()
        answers = [one.result() for one in pending]
    assert [a["answer"] for a in answers] == [f"You asked: kept {n}?" for n in range(12)]
    # A conversation that the killed process served goes on, with all that was said before.
    follow_up = cluster.ask("after?", image_id=image, conversation_id=conversation)
    assert follow_up["conversation_id"] == conversation
    whole = cluster.client.get(f"/conversations/{conversation}").json()
    assert [turn["question"] for turn in whole["messages"]] == ["first?", "then?", "after?"]
    assert {turn["state"] for turn in whole["messages"]} == {"done"}
    for answer in answers:
        transcript = cluster.client.get(f"/conversations/{answer['conversation_id']}").json()
        assert transcript["messages"][-1]["answer"] == answer["answer"]


def it_comes_back(cluster: Cluster, conversation: str) -> None:
    back = cluster.processes[0]
    back.start()
    back.wait()
    with cluster.direct(0) as asking:
        whole = asking.get(f"/conversations/{conversation}").json()
        assert len(whole["messages"]) == 3
        listed = asking.get("/conversations", params={"limit": 100}).json()["conversations"]
    # What was cut off is told as such once its deadline has passed: nothing is pending for ever.
    with cluster.direct(1) as asking:

        def states() -> set[str]:
            transcripts = (
                asking.get(f"/conversations/{c['conversation_id']}").json() for c in listed
            )
            return {turn["state"] for whole in transcripts for turn in whole["messages"]}

        until(lambda: states() == {"done", "interrupted"}, seconds=30)
    checked = [sys.executable, "-m", "vesalius", "log", "verify"]
    done = subprocess.run(checked, env=back.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def what_is_deleted_in_one_is_gone_in_all(cluster: Cluster, conversation: str, image: str) -> None:
    with cluster.direct(1) as asking:
        assert asking.delete(f"/images/{image}").status_code < 300
        assert asking.delete(f"/conversations/{conversation}").status_code < 300
    for number in range(3):
        with cluster.direct(number) as asking:
            assert asking.get(f"/images/{image}").status_code == 404
            assert asking.get(f"/conversations/{conversation}").status_code == 404
            assert (
                asking.post(
                    "/ask_question", json={"image_id": image, "question": "still?"}
                ).status_code
                == 404
            )


def test_the_door_hides_what_is_the_operators(tmp_path: Path, postgresql: str) -> None:
    """Through nginx: no metrics; and what nginx refuses by itself has the service's form."""
    env = environment(state=str(tmp_path / "state"), database_url=postgresql)
    one = Process(free_port(), env, tmp_path / "log")
    try:
        one.start()
        with (
            nginx([one.port] * 3, tmp_path) as url,
            client(url) as asking,
            client(one.url) as inside,
        ):
            one.wait()
            assert asking.get("/healthz").status_code == 200
            for path in ("/metrics", "/readyz"):
                assert asking.get(path).status_code == 404
                assert inside.get(path).status_code == 200
            assert "max-age" in asking.get("/version").headers["Strict-Transport-Security"]
            large = asking.post("/upload_image", files={"image_file": b"0" * (21 * 2**20)})
            assert large.status_code == 413
            assert large.json()["code"] == "body_too_large"
            one.kill()
            refused = asking.get("/version")
            assert (refused.status_code, refused.json()["code"]) == (503, "engine_unavailable")
            assert refused.headers["Retry-After"] == "5"
            assert refused.headers["Content-Type"] == "application/problem+json"
    finally:
        one.kill()
