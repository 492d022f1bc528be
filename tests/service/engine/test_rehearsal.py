"""The replayed engine, and the line that every engine has before it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from asking import collect, job, picture

from vesalius import Answer, Prediction
from vesalius.cases.prediction import Confidence, Neighbour
from vesalius.errors import Refusal
from vesalius.service.engine.in_process import InProcessEngine
from vesalius.service.engine.rehearsal import rehearsal_host
from vesalius.system.files import append_lines


def replay(source: str | Path = "echo", *, seconds: float = 0.2, **line: int) -> InProcessEngine:
    """The engine that ``vesalius serve --replay`` starts."""
    return InProcessEngine(rehearsal_host(str(source), seconds=seconds), **line)


def run(engine: InProcessEngine, work: Callable[[], Awaitable[object]]) -> None:
    async def whole() -> None:
        await engine.start()
        try:
            await work()
        finally:
            await engine.stop(0)

    asyncio.run(whole())


def test_every_request_gets_its_own_answer() -> None:
    engine = replay(seconds=0.02)

    async def work() -> None:
        jobs = [job(f"j{i}", f"is lesion {i} benign?") for i in range(20)]
        answers = await asyncio.gather(*(collect(engine, one) for one in jobs))
        for i, (texts, prediction) in enumerate(answers):
            assert f"lesion {i} benign" in prediction.text
            assert len(texts) > 2
            assert prediction.id == f"j{i}"
            assert prediction.confidence is not None
        assert sum(n * size for size, n in engine.load()["batch_sizes"].items()) == 20
        assert max(engine.load()["batch_sizes"]) == 8

    run(engine, work)


def test_saved_answers_by_picture_then_by_question(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    sure = Confidence(0.8, "m")
    near = (Neighbour("c", 0.9),)
    rows = [
        Prediction("1", Answer("mr"), question="what is it?", picture="shade-1", confidence=sure),
        Prediction("2", Answer("x ray"), question="what is it?", picture="shade-2", evidence=near),
    ]
    append_lines(path, (row.to_row() for row in rows))
    engine = replay(tmp_path, seconds=0)
    assert engine.about()["model"] == f"replay of {tmp_path.name}"

    async def work() -> None:
        _, first = await collect(engine, job("a", "what is it?", image=picture(1)))
        _, second = await collect(engine, job("b", "what  is it?", image=picture(2)))
        _, third = await collect(engine, job("c", "what is it?", image=picture(3)))
        _, echo = await collect(engine, job("d", "never asked"))
        assert (first.text, first.confidence) == ("mr", sure)
        assert (second.text, second.evidence) == ("x ray", near)
        assert third.text == "mr"
        assert echo.text == "You asked: never asked"

    run(engine, work)


def test_a_long_answer_is_cut_and_says_so() -> None:
    engine = replay(seconds=0)

    async def work() -> None:
        _, prediction = await collect(engine, job("a", "one two three", max_new_tokens=3))
        assert (prediction.text, prediction.finish) == ("You asked: one", "length")

    run(engine, work)


def test_too_many_are_refused_at_once_and_told_when_to_come_back() -> None:
    engine = replay(seconds=0.2, batch=1, queue=2)

    waits: list[float | None] = []

    async def work() -> None:
        async def outcome(name: str) -> str:
            try:
                await collect(engine, job(name))
            except Refusal as refusal:
                waits.append(refusal.retry_after)
                return refusal.code
            return "answered"

        started = time.monotonic()
        first = asyncio.create_task(outcome("first"))
        await asyncio.sleep(0.05)  # it has begun: two more may wait
        others = await asyncio.gather(first, *(outcome(f"o{i}") for i in range(4)))
        assert sorted(others) == ["answered"] * 3 + ["overloaded"] * 2
        assert time.monotonic() - started < 5
        assert engine.load()["queued"] == engine.load()["running"] == 0
        assert await outcome("later") == "answered"

    run(engine, work)
    assert len(waits) == 2
    assert all(seconds is not None and seconds >= 1 for seconds in waits)


def test_past_its_deadline_a_job_ends_in_a_refusal() -> None:
    engine = replay(seconds=5)

    async def work() -> None:
        with pytest.raises(Refusal) as late:
            await collect(engine, job("a", seconds=-1))
        assert late.value.code == "deadline"
        started = time.monotonic()
        with pytest.raises(Refusal) as late:
            await collect(engine, job("b", seconds=0.2))
        assert late.value.code == "deadline"
        assert time.monotonic() - started < 1
        assert len(engine._queue) == 0

    run(engine, work)


def test_closing_the_iterator_leaves_the_line() -> None:
    engine = replay(seconds=0.3)

    async def work() -> None:
        async with aclosing(engine.stream(job("a", "a few words are here"))) as stream:
            async for _ in stream:
                break
        assert engine.load()["running"] == 0
        _, prediction = await collect(engine, job("b", "others go on"))
        assert prediction.text.endswith("others go on")

    run(engine, work)


def test_stopping_answers_who_is_there_within_grace_and_refuses_the_rest() -> None:
    async def work() -> None:
        for grace, ends in ((2.0, "answered"), (0.05, "shutting_down")):
            engine = replay(seconds=0.3)
            await engine.start()
            answering = asyncio.create_task(collect(engine, job("a")))
            await asyncio.sleep(0.05)
            stopping = asyncio.create_task(engine.stop(grace))
            await asyncio.sleep(0.01)
            with pytest.raises(Refusal) as refused:
                await collect(engine, job("b"))
            assert refused.value.code == "shutting_down"
            assert not engine.ready
            try:
                await answering
                outcome = "answered"
            except Refusal as refusal:
                outcome = refusal.code
            assert outcome == ends
            await stopping

    asyncio.run(work())


def test_before_it_is_started_it_is_not_there() -> None:
    engine = replay()
    assert not engine.ready
    with pytest.raises(Refusal) as refused:
        asyncio.run(collect(engine, job("a")))
    assert refused.value.code == "engine_unavailable"


def test_the_protocol_loads_no_torch() -> None:
    engine = "vesalius.service.engine"
    program = f"import sys, {engine}.in_process, {engine}.rehearsal; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
