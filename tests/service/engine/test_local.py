"""A model in its own process: same answers, batched, cancelled, killed, and started again."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from asking import collect, job, picture

from vesalius import Picture, Prediction, Recipe, Run
from vesalius.errors import ImageError, ModelError, Refusal, TooLong, Unshowable, VesaliusError
from vesalius.models import encoders
from vesalius.service.engine.local import LocalEngine
from vesalius.service.engine.model_host import load_host
from vesalius.service.engine.worker import Spec, Worker, gathering
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.prepare import dialogues

T = TypeVar("T")
QUESTIONS = ("what modality is this?", "is there a nodule?", "where is it?", "what plane is it?")


def fit_run(folder: Path, model: dict[str, Any], **blocks: Any) -> Run:
    return fit(
        Recipe.model_validate(
            {
                "name": "served",
                "data": {
                    "dataset": "phantom",
                    "options": {"cases": {"train": 4, "validation": 0, "test": 0}, "size": 48},
                    "splits": {"validation": None},
                },
                "model": model,
                "decoding": {"max_new_tokens": 24},
                **blocks,
            }
        ),
        folder,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    tiny = {"name": "generative", "tiny": True, "family": "llava", "training": {"max_steps": 1}}
    return fit_run(tmp_path_factory.mktemp("engine") / "run", tiny)


@pytest.fixture(scope="module")
def frequent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit_run(tmp_path_factory.mktemp("engine") / "majority", {"name": "majority"})


class Hosting:
    """An engine on an event loop in a thread, so that tests share one."""

    def __init__(self, source: Path, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.engine = LocalEngine(source, threads=1, **options)

    def do(self, work: Callable[[], Awaitable[T]]) -> T:
        async def whole() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(whole(), self.loop).result(240)

    def __enter__(self) -> Hosting:
        return self

    def __exit__(self, *_: object) -> None:
        self.do(partial(self.engine.stop, 0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def hosting(run: Run) -> Iterator[Hosting]:
    with Hosting(run.path, queue=4, cache_bytes=2**24) as hosting:
        assert not hosting.engine.ready
        hosting.do(hosting.engine.start)
        assert hosting.engine.ready
        yield hosting


def test_answers_are_those_of_the_model_alone_or_together(run: Run, hosting: Hosting) -> None:
    model = load(run)
    jobs = [
        job(f"j{i}", QUESTIONS[i % 4], image=picture(i % 3), max_new_tokens=24) for i in range(4)
    ]
    expected = [model.predict([one.dialogue], one.decoding)[0] for one in jobs]

    async def alone() -> list[Prediction]:
        return [(await collect(hosting.engine, one))[1] for one in jobs]

    async def together() -> list[Prediction]:
        predictions = await asyncio.gather(*(collect(hosting.engine, one) for one in jobs))
        return [prediction for _, prediction in predictions]

    for predictions in (hosting.do(alone), hosting.do(together)):
        for one, other in zip(predictions, expected, strict=True):
            assert (one.id, one.text, one.finish) == (other.id, other.text, other.finish)
            assert one.confidence is not None
            assert other.confidence is not None
            assert one.confidence.value == pytest.approx(other.confidence.value, abs=1e-4)
    assert hosting.engine.load()["batch_sizes"].get(4) == 1


def test_a_follow_up_question_starts_from_what_was_kept(run: Run, hosting: Hosting) -> None:
    model = load(run)
    before = hosting.engine.load()
    first = job("a", QUESTIONS[0], image=picture(77))
    _, reply = hosting.do(lambda: collect(hosting.engine, first))
    past = ((QUESTIONS[0], reply.text),)
    unreadable = Picture("shade-77", partial(Path("nowhere.png").read_bytes))
    second = job("b", QUESTIONS[1], past=past, image=unreadable)  # the picture is not even read
    _, answer = hosting.do(lambda: collect(hosting.engine, second))
    again = job("b", QUESTIONS[1], past=past, image=picture(77))
    assert answer.text == model.predict([again.dialogue], again.decoding)[0].text
    time.sleep(0.1)
    after = hosting.engine.load()
    assert after["cache_hits"] == before["cache_hits"] + 1
    assert after["cache_bytes"] > 0
    assert after["cache_tokens"] > before["cache_tokens"]


def test_a_deleted_picture_is_forgotten(hosting: Hosting) -> None:
    hosting.do(lambda: collect(hosting.engine, job("a", image=picture(78))))
    time.sleep(0.1)  # the worker's load comes behind the answer
    size = hosting.engine.load()["cache_bytes"]
    hosting.engine.forget("shade-78")
    unreadable = Picture("shade-78", partial(Path("nowhere.png").read_bytes))
    with pytest.raises(Refusal, match="FileNotFoundError"):
        hosting.do(lambda: collect(hosting.engine, job("b", image=unreadable)))
    time.sleep(0.1)
    assert hosting.engine.load()["cache_bytes"] < size


def test_where_an_answer_comes_from(run: Run, hosting: Hosting) -> None:
    about = hosting.engine.about()
    assert about["model"] == "served"
    assert about["recipe"] == f"served {run.recipe().digest()}"
    assert about["weights"] == "random"
    assert len(about["weights_sha256"]) == len(about["adapter_sha256"]) == 64
    assert about["weights_sha256"] != about["adapter_sha256"]
    assert "CLIPImageProcessor" in about["preprocessing"]
    assert about["decoding"]["max_new_tokens"] == 24
    assert {"torch", "transformers", "vesalius", "python"} <= set(about["software"])


def long_job(name: str, **options: Any) -> Any:
    return job(name, QUESTIONS[0], max_new_tokens=1500, temperature=3.0, **options)


def test_closing_frees_the_model_within_a_second(hosting: Hosting) -> None:
    async def work() -> float:
        async with aclosing(hosting.engine.stream(long_job("a"))) as stream:
            async for _ in stream:
                break
        started = time.monotonic()
        assert hosting.engine.load()["running"] == 0
        await collect(hosting.engine, job("b", max_new_tokens=1))
        return time.monotonic() - started

    assert hosting.do(work) < 1


def test_past_the_deadline_the_work_ends(hosting: Hosting) -> None:
    async def work() -> float:
        with pytest.raises(Refusal) as late:
            await collect(hosting.engine, long_job("a", seconds=0.3))
        assert late.value.code == "deadline"
        started = time.monotonic()
        await collect(hosting.engine, job("b", max_new_tokens=1))
        return time.monotonic() - started

    assert hosting.do(work) < 1


def test_too_many_are_refused_at_once(hosting: Hosting) -> None:
    async def work() -> list[str]:
        async def outcome(name: str) -> str:
            try:
                await collect(hosting.engine, long_job(name, seconds=1))
            except Refusal as refusal:
                return refusal.code
            return "answered"

        first = asyncio.create_task(outcome("first"))
        await asyncio.sleep(0.2)
        return await asyncio.gather(first, *(outcome(f"o{i}") for i in range(6)))

    outcomes = hosting.do(work)
    assert outcomes.count("overloaded") == 2


def test_one_that_cannot_be_answered_takes_no_other_with_it(hosting: Hosting) -> None:
    bad = Picture("broken", partial(bytes, b"no picture"))
    long = ((" ".join(["word"] * 3000), "yes"),)

    async def work() -> list[Any]:
        jobs = [
            job("good", QUESTIONS[0]),
            job("bad", QUESTIONS[0], image=bad),
            job("long", QUESTIONS[0], past=long),
            job("fine", QUESTIONS[1], image=picture(9)),
        ]
        return await asyncio.gather(
            *(collect(hosting.engine, one) for one in jobs), return_exceptions=True
        )

    good, broken, too_long, fine = hosting.do(work)
    assert isinstance(broken, ImageError)
    assert broken.code == "unsupported_media_type"
    assert isinstance(too_long, TooLong)
    assert too_long.code == "prompt_too_long"
    assert (good[1].id, fine[1].id) == ("good", "fine")


def test_a_new_picture_in_a_conversation_is_answered_as_without_anything_kept(
    run: Run, hosting: Hosting
) -> None:
    model = load(run)
    first = job("first", QUESTIONS[0], image=picture(33))
    reply = hosting.do(partial(collect, hosting.engine, first))[1].text
    second = job(
        "next", "and this?", past=((QUESTIONS[0], reply),), image=picture(33), new=picture(9)
    )
    answer = hosting.do(partial(collect, hosting.engine, second))[1]
    (alone,) = model.predict([second.dialogue], second.decoding)
    assert answer.text == alone.text
    assert answer.picture == "shade-9"


def test_a_model_that_cannot_be_shown_a_later_picture_says_so(tmp_path: Path) -> None:
    tiny = {"name": "generative", "tiny": True, "family": "paligemma", "training": {"max_steps": 1}}
    made = fit_run(tmp_path / "run", tiny)
    with Hosting(made.path, queue=4, cache_bytes=2**24) as hosting:
        hosting.do(hosting.engine.start)
        later = job("later", past=(("what is this?", "a knee"),), new=picture(9))
        with pytest.raises(Unshowable, match=r"turn 2 shows a picture.*the first question"):
            hosting.do(partial(collect, hosting.engine, later))
        assert hosting.do(partial(collect, hosting.engine, job("fine")))[1].id == "fine"


class Unknown:
    """Goes into a pickle and does not come out of it."""

    def __reduce__(self) -> Any:
        return (int, ("no number",))

    def __call__(self) -> bytes:
        return b""


def test_what_cannot_be_sent_is_refused_and_leaves_the_line(hosting: Hosting) -> None:
    unsent = job("a", image=Picture("k", lambda: b""))
    with pytest.raises(Refusal, match="cannot be handed"):
        hosting.do(lambda: collect(hosting.engine, unsent))
    assert hosting.engine.load()["queued"] == 0
    torn = job("b", image=Picture("k", Unknown()))
    with pytest.raises(Refusal, match="failed at this question"):
        hosting.do(lambda: collect(hosting.engine, torn))
    hosting.do(lambda: collect(hosting.engine, job("c")))


def test_a_killed_worker_is_replaced(hosting: Hosting) -> None:
    engine = hosting.engine

    async def work() -> None:
        pid = engine.pid
        request = asyncio.create_task(collect(engine, long_job("a")))
        await asyncio.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(Refusal) as lost:
            await request
        assert lost.value.code == "engine_unavailable"
        assert lost.value.retry_after is not None
        assert not engine.ready
        with pytest.raises(Refusal) as lost:
            await collect(engine, job("b"))
        assert lost.value.code == "engine_unavailable"
        end = time.monotonic() + 150
        while not engine.ready and time.monotonic() < end:
            await asyncio.sleep(0.1)
        assert engine.pid != pid
        assert engine.load()["restarts"] == 1
        await collect(engine, job("c"))

    hosting.do(work)


async def back(engine: LocalEngine, restarts: int) -> None:
    end = time.monotonic() + 150
    while engine.load()["restarts"] < restarts or not engine.ready:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def test_a_hanging_worker_is_replaced(frequent: Run) -> None:
    hosting = Hosting(frequent.path, hung=2.0)
    engine = hosting.engine

    async def work() -> None:
        pid = engine.pid
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(Refusal) as late:
            await collect(engine, job("a", seconds=0.2))
        assert late.value.code == "deadline"
        with pytest.raises(Refusal) as lost:
            await collect(engine, job("b", seconds=60))
        assert lost.value.code == "engine_unavailable"
        assert not engine.ready
        await back(engine, 1)
        assert engine.pid != pid
        assert (await collect(engine, job("c")))[1].text

    with hosting:
        hosting.do(engine.start)
        hosting.do(work)


@pytest.mark.slow
def test_a_worker_that_never_ends_its_batch_is_replaced(run: Run) -> None:
    """It answers pings all the while: its other thread does."""
    hosting = Hosting(run.path, hung=1.0)
    engine = hosting.engine
    stuck = Picture("stuck", partial(time.sleep, 60))  # type: ignore[arg-type]

    async def work() -> None:
        pid = engine.pid
        with pytest.raises(Refusal) as late:
            await collect(engine, job("a", image=stuck, seconds=0.5))
        assert late.value.code == "deadline"
        await back(engine, 1)
        assert engine.pid != pid
        assert (await collect(engine, job("b")))[1].text

    with hosting:
        hosting.do(engine.start)
        hosting.do(work)


@pytest.mark.slow
def test_a_slow_worker_is_not_taken_for_a_hanging_one(run: Run) -> None:
    hosting = Hosting(run.path, hung=3.0)
    engine = hosting.engine
    slow: Any = partial(time.sleep, 7)

    async def work() -> None:
        pid = engine.pid
        started = time.monotonic()
        with pytest.raises(VesaliusError):  # in the end it has read no picture
            await collect(engine, job("a", image=Picture("slow", slow)))
        assert time.monotonic() - started > 6
        await asyncio.sleep(4)  # nothing to say is no silence either
        assert (await collect(engine, job("b")))[1].text
        assert (engine.pid, engine.load()["restarts"]) == (pid, 0)

    with hosting:
        hosting.do(engine.start)
        hosting.do(work)


def test_jobs_that_were_left_do_not_pile_up(frequent: Run) -> None:
    hosting = Hosting(frequent.path)
    engine = hosting.engine
    large = Picture("large", partial(bytes, b"x" * 2**22))

    async def work() -> None:
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSTOP)
        for number in range(10):
            with pytest.raises(Refusal):
                await collect(engine, job(f"j{number}", image=large, seconds=0.1))
        worker: Any = engine._worker
        assert not worker._unsent
        # The first has begun to be written and is left by a message; of the others numbers stay.
        waiting = [worker._outbox.get() for _ in range(worker._outbox.qsize())]
        assert sum(isinstance(one, bytes) for one in waiting) <= 2
        os.kill(engine.pid, signal.SIGCONT)
        assert (await collect(engine, job("last")))[1].text

    with hosting:
        hosting.do(engine.start)
        hosting.do(work)


class Pipe:
    """Stands for a pipe by which only the spec comes."""

    def recv(self) -> Spec:
        return Spec("", 8, 0.01, 0, None)


def test_a_waiting_job_that_was_left_is_dropped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "_listen", lambda _: None)
    pipe: Any = Pipe()
    worker = Worker(pipe, pipe)
    request = job("a")
    packed = pickle.dumps(replace(request, dialogue=replace(request.dialogue, context={})))
    for number in range(3):
        worker._take("ask", number, packed)
    worker._take("leave", 1)
    assert [one.number for one in worker._jobs] == [0, 2]
    assert [one.number for one in worker._gathered()] == [0, 2]
    worker._take("leave", 2)
    assert worker._left == {2}


def test_a_batch_is_gathered_longer_where_several_ask_and_batches_are_long() -> None:
    # A twentieth of 4 s is 0.2 s; of 0.1 s it is 5 ms, less than is waited in any case.
    assert gathering(0.01, 4.0, several=True) == pytest.approx(0.2)
    assert gathering(0.01, 0.1, several=True) == 0.01
    assert gathering(0.01, 4.0, several=False) == 0.01


def test_any_model_is_hosted_and_stops_gracefully(
    frequent: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    hosting = Hosting(frequent.path)
    with hosting:
        hosting.do(hosting.engine.start)
        texts, prediction = hosting.do(
            lambda: collect(hosting.engine, job("a", "Mrs Smith's secret?"))
        )
        expected = load(frequent).predict([job("a").dialogue], job("a").decoding)[0]
        assert prediction.text == expected.text == "".join(texts)
        assert prediction.confidence == expected.confidence
        assert hosting.engine.about()["recipe"].startswith("served ")
        assert len(hosting.engine.about()["weights_sha256"]) == 64
        pid = hosting.engine.pid
    assert not psutil.pid_exists(pid)
    with pytest.raises(Refusal) as refused:
        asyncio.run(collect(hosting.engine, job("b")))
    assert refused.value.code == "shutting_down"
    out, err = capfd.readouterr()
    assert "Smith" not in out + err


def test_what_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    hosting = Hosting(tmp_path / "nothing")
    with hosting:
        with pytest.raises(ModelError, match="neither a folder here nor a model on the hub"):
            hosting.do(hosting.engine.start)
        assert not hosting.engine.ready


def test_a_models_folder_needs_no_run(run: Run, tmp_path: Path) -> None:
    from vesalius.models.build import build

    learner: Any = build(run.recipe().model)
    learner.write(run, tmp_path / "exported", merge=True)
    host = load_host(str(tmp_path / "exported"))
    request = job("a")
    expected = load(run).predict([request.dialogue], request.decoding)[0]
    assert host.model.predict([request.dialogue], request.decoding)[0].text == expected.text
    assert host.about["model"] == "exported"
    assert host.about["recipe"] is None
    assert len(host.about["weights_sha256"]) == 64
    assert host.about["family"] == "LLaVA-1.5"


def test_similar_cases_stand_beside_an_answer(tmp_path: Path) -> None:
    run = fit_run(
        tmp_path / "run", {"name": "majority"}, retrieve={"neighbours": 2, "threshold": -1}
    )
    host = load_host(str(run.path))
    request = job("a")
    (supported,) = host.model.predict([request.dialogue], request.decoding)
    (prediction,) = load(run).members["model"].predict([request.dialogue], request.decoding)
    assert supported.text == prediction.text
    assert len(supported.neighbours) == 2
    assert supported.neighbours[0].similarity >= supported.neighbours[1].similarity
    shown = request.dialogue.turns[0].pictures[0]
    unreadable = replace(shown, read=partial(bytes, b"no picture"))
    again = replace(
        request.dialogue, turns=(replace(request.dialogue.turns[0], pictures=(unreadable,)),)
    )
    assert host.model.predict([again], request.decoding) == [supported]  # looked up once
    host.forget(shown.key)
    with pytest.raises(ImageError):
        host.model.predict([again], request.decoding)
    bare = replace(request.dialogue, turns=(replace(request.dialogue.turns[0], pictures=()),))
    assert host.model.predict([bare], request.decoding)[0].evidence == ()


PARENT = """
import asyncio, sys
sys.path.insert(0, {here!r})
from asking import collect, job
from vesalius.service.engine.local import LocalEngine

async def main():
    engine = LocalEngine({run!r}, threads=1)
    await engine.start()
    print(engine.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("loading", [False, True])
def test_no_worker_outlives_a_killed_service(frequent: Run, loading: bool) -> None:
    source = PARENT.format(here=str(Path(__file__).parent), run=str(frequent.path))
    parent = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    if loading:
        children: list[psutil.Process] = []
        while not children:
            children = psutil.Process(parent.pid).children()
            time.sleep(0.05)
        pid = children[0].pid
        time.sleep(1)
    else:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 20
    while psutil.pid_exists(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_killed_again_and_again_it_comes_back(frequent: Run) -> None:
    hosting = Hosting(frequent.path)
    hosting.do(hosting.engine.start)
    with hosting:
        for round_ in range(1, 4):
            os.kill(hosting.engine.pid, signal.SIGKILL)
            end = time.monotonic() + 60
            while hosting.engine.load()["restarts"] < round_ or not hosting.engine.ready:
                assert time.monotonic() < end
                time.sleep(0.05)
            _, prediction = hosting.do(lambda: collect(hosting.engine, job("a")))
            assert prediction.text


def test_shared_features_are_neither_read_nor_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path))
    monkeypatch.setenv("VESALIUS_FEATURES_MB", "4")
    # What this process has encoded before is not written again.
    encoders._image_encoder.cache_clear()
    run = fit_run(tmp_path / "run", {"name": "nearest"})
    trained_on = next(dialogues(run.recipe().data, "train")).pictures[0]
    with sqlite3.connect(tmp_path / "features" / "features.sqlite") as database:
        database.execute("UPDATE features SET vector = zeroblob(LENGTH(vector))")
        before = database.execute("SELECT * FROM features").fetchall()
        assert before

        known = job("a", image=replace(trained_on, key="the same under another key"))
        with Hosting(run.path) as hosting:
            hosting.do(hosting.engine.start)
            _, answer = hosting.do(lambda: collect(hosting.engine, known))
            hosting.do(lambda: collect(hosting.engine, job("b")))
        assert answer.confidence is not None
        assert answer.confidence.value > 0.5  # the noughts in the cache would give 0
        assert database.execute("SELECT * FROM features").fetchall() == before
