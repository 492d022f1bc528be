"""The list of conversations: is a page of 20 as quick among 180 as where there are no more?

    python benchmarks/conversations.py

Seeds an owner with 20 and another with 180 conversations of four turns (and a picture each), in one
SQLite file, and prints the median over 100 calls of ``GET /conversations?limit=20``'s work in the
store for each: the first page, the last page (by cursor), a search without a hit.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vesalius.cases.reencode import Reencoded
from vesalius.service.http.responses import conversation
from vesalius.service.store import Store

PAGE = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 180])
    parser.add_argument("--calls", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/v.db", str(Path(folder) / "pictures"))
        store.migrate()
        for size in options.sizes:
            seed(store, f"owner of {size}", size)
        owners = [f"owner of {size}" for size in options.sizes]
        lasts = {owner: cursors(store, owner)[-1] for owner in owners}
        kinds: list[Callable[[str], object]] = [
            lambda owner: page(store, owner),
            lambda owner: page(store, owner, before=lasts[owner]),
            lambda owner: page(store, owner, search="no such words"),
        ]
        columns = [medians(kind, owners, options.calls) for kind in kinds]
        print("rows | first page | last page | search without a hit  (median ms, a page of 20)")
        for size, *times in zip(options.sizes, *columns, strict=True):
            print(f"{size:4d} | " + " | ".join(f"{one:.2f}" for one in times))
        store.close()


def seed(store: Store, owner: str, size: int) -> None:
    until = datetime.now(UTC) + timedelta(days=1)
    for number in range(size):
        kept = Reencoded(f"{owner} {number}".encode(), ".png", 4, 3, "png")
        image, _ = store.add_image(owner, f"{owner} {number}", kept, expires_at=until)
        where = None
        for turn in range(4):
            begun = store.begin_turn(owner, where, image.id, f"question {turn} of {number}?")
            where = begun.conversation_id
            store.finish_turn(owner, begun.answer_id, answer="a small nodule on the right " * 8)


def cursors(store: Store, owner: str) -> list[str | None]:
    """The cursor of every page."""
    places: list[str | None] = [None]
    while (following := store.conversations(owner, limit=PAGE, before=places[-1]).next) is not None:
        places.append(following)
    return places


def page(store: Store, owner: str, **how: str | None) -> int:
    """One page as the wire has it; how many bytes that are."""
    records = store.conversations(owner, limit=PAGE, **how).conversations
    return sum(len(conversation(one).model_dump_json()) for one in records)


def medians(work: Callable[[str], object], owners: list[str], calls: int) -> list[float]:
    """Milliseconds for each owner, in turns, so that other load on the machine meets all alike."""
    times: dict[str, list[float]] = {owner: [] for owner in owners}
    for _ in range(calls):
        for owner in owners:
            start = time.perf_counter()
            work(owner)
            times[owner].append(1000 * (time.perf_counter() - start))
    return [statistics.median(times[owner]) for owner in owners]


if __name__ == "__main__":
    main()
