"""Owners take turns for what is scarce."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from vesalius.errors import Refusal
from vesalius.service.fair_queue import FairQueue


async def order(arrivals: Sequence[str], slots: int = 1) -> list[str]:
    """In which order jobs are begun that all arrive while one of nobody's runs in each slot."""
    queue, begun = FairQueue(slots), list[str]()
    for _ in range(slots):
        await queue.enter("nobody")

    async def job(name: str) -> None:
        await queue.enter(name[0])
        begun.append(name)
        await asyncio.sleep(0)
        queue.leave(name[0])

    jobs = [asyncio.ensure_future(job(name)) for name in arrivals]
    await asyncio.sleep(0)
    for _ in range(slots):
        queue.leave("nobody")
    await asyncio.gather(*jobs)
    return begun


def test_one_job_of_one_does_not_wait_for_ten_of_another() -> None:
    arrivals = [*(f"a{n}" for n in range(10)), "b0", "c0", "b1"]
    begun = asyncio.run(order(arrivals))
    assert begun == ["a0", "b0", "c0", "a1", "b1", *(f"a{n}" for n in range(2, 10))]


def test_of_one_owner_the_first_comes_first() -> None:
    arrivals = [f"a{n}" for n in range(5)]
    assert asyncio.run(order(arrivals)) == arrivals
    assert asyncio.run(order(arrivals, slots=2)) == arrivals


def test_who_comes_while_another_s_job_is_done_is_next() -> None:
    async def run() -> None:
        queue = FairQueue(1)
        await queue.enter("a")
        heap = [asyncio.ensure_future(queue.enter("a")) for _ in range(5)]
        for done in range(3):  # b comes again and again, each time during one of a's jobs
            await asyncio.sleep(0)
            single = asyncio.ensure_future(queue.enter("b"))
            await asyncio.sleep(0)
            queue.leave("a")
            await asyncio.wait_for(single, 1)
            assert [job.done() for job in heap].count(True) == done
            queue.leave("b")
        await asyncio.sleep(0)
        for _ in heap[2:]:
            queue.leave("a")
            await asyncio.sleep(0)
        await asyncio.gather(*heap)

    asyncio.run(run())


def test_an_owner_with_nothing_at_work_goes_before_one_with_something() -> None:
    async def run() -> None:
        queue = FairQueue(2)
        await queue.enter("a")
        await queue.enter("b")
        heap = [asyncio.ensure_future(queue.enter("a")) for _ in range(2)]
        await asyncio.sleep(0)
        single = asyncio.ensure_future(queue.enter("c"))
        await asyncio.sleep(0)
        queue.leave("b")  # a has waited for longer, and has a slot
        await asyncio.wait_for(single, 1)
        assert not any(job.done() for job in heap)
        queue.leave("c")
        await asyncio.wait_for(heap[0], 1)  # one alone may have both

    asyncio.run(run())


def test_who_goes_while_waiting_holds_no_slot_and_blocks_nobody() -> None:
    async def run() -> None:
        queue = FairQueue(1)
        await queue.enter("a")
        gone = asyncio.ensure_future(queue.enter("b"))
        late = asyncio.ensure_future(queue.enter("b"))
        after = asyncio.ensure_future(queue.enter("c"))
        await asyncio.sleep(0)
        gone.cancel()
        queue.leave("a")  # late's or after's turn
        late.cancel()  # goes just as its turn has come
        await asyncio.wait_for(after, 1)
        queue.leave("c")
        await asyncio.wait_for(queue.enter("d"), 1)  # the slot is free again
        assert not queue._lines
        assert queue._working == {"d": 1}

    asyncio.run(run())


def test_only_so_many_of_one_owner_wait() -> None:
    async def run() -> None:
        queue = FairQueue(1, most=3)
        await queue.enter("a")
        waiting = [asyncio.ensure_future(queue.enter("a")) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="3 pictures of yours"):
            await queue.enter("a")
        other = asyncio.ensure_future(queue.enter("b"))
        for owner in "abaaa":
            queue.leave(owner)
            await asyncio.sleep(0)
        await asyncio.gather(*waiting, other)

    asyncio.run(run())
