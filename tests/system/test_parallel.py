"""Work on all cores: in order, in other processes, and with losses that name their item."""

from __future__ import annotations

import os

import pytest

from vesalius.errors import DatasetError
from vesalius.system import parallel
from vesalius.system.parallel import ParallelMap

TARGET = "parallel_tasks:square"


def lost(item: object, _: object) -> tuple[str, object]:
    return "lost", item


def test_results_come_in_order_from_other_processes() -> None:
    moved: list[int] = []
    with ParallelMap(TARGET, lost, batch=3, least=4, cores=2) as cores:
        results = cores.map(range(20), moved.append)
    assert [value for value, _ in results] == [n * n for n in range(20)]
    assert os.getpid() not in {process for _, process in results}
    assert sum(moved) == 20


def test_a_short_list_and_one_core_are_worked_on_here(monkeypatch) -> None:
    monkeypatch.setattr(parallel, "usable_cores", lambda: 1)
    for cores, number in ((2, 3), (None, 20)):
        with ParallelMap(TARGET, lost, least=4, cores=cores) as several:
            results = several.map(range(number))
        assert {process for _, process in results} == {os.getpid()}


def test_one_process_may_be_asked_for() -> None:
    with ParallelMap(TARGET, lost, batch=5, least=4, cores=1) as one:
        results = one.map(range(110, 120))
    assert results[3] == ("lost", 113)
    assert os.getpid() not in {process for _, process in results}


def test_what_cannot_be_pickled_is_worked_on_here() -> None:
    items = [lambda n=n: n for n in range(8)]
    with ParallelMap(TARGET, lost, least=4, cores=2) as cores:
        results = cores.map(items)
    assert results == [(n * n, os.getpid()) for n in range(8)]


def test_an_item_that_ends_its_process_is_lost_alone() -> None:
    with ParallelMap(TARGET, lost, batch=5, least=4, cores=2) as cores:
        results = cores.map(range(110, 120))
    assert results[3] == ("lost", 113)
    assert [value for n, (value, _) in enumerate(results) if n != 3] == [
        n * n for n in range(110, 120) if n != 113
    ]


def test_a_fault_of_ours_arrives_as_it_was_raised() -> None:
    with (
        ParallelMap(TARGET, lost, least=4, cores=2) as cores,
        pytest.raises(DatasetError, match="row 1: a negative side"),
    ):
        cores.map([1, 2, 3, -1])
