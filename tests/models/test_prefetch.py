"""One thing ahead: in order, the error where its thing would have been, nothing left running."""

from __future__ import annotations

import threading
import time

import pytest

from vesalius.models.prefetch import ahead


def test_in_order_and_overlapped() -> None:
    made: list[int] = []

    def things():
        for n in range(4):
            made.append(n)
            yield n

    taken = []
    for thing in ahead(things()):
        deadline = time.monotonic() + 5
        while len(made) < min(4, thing + 2) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(made) >= min(4, thing + 2)  # the next one is made while this one is used
        taken.append(thing)
    assert taken == [0, 1, 2, 3]
    assert list(ahead([])) == []


def test_an_error_comes_after_what_was_before_it() -> None:
    def things():
        yield 1
        yield 2
        raise ValueError("third")

    coming = ahead(things())
    assert [next(coming), next(coming)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(coming)
    assert not [t for t in threading.enumerate() if t.name.startswith("vesalius-ahead")]
