"""From a recipe's data block to dialogues: what fitting and predicting both start from."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from vesalius.cases.case import NOTHING, Answer, Case
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.tasks import task_of
from vesalius.data.audit import Member, audit_members, read_members, shared_with_later
from vesalius.data.content import split_digests
from vesalius.data.dialogues import to_dialogues
from vesalius.data.perturb import Change, change_of
from vesalius.data.perturb.stock import Stock
from vesalius.errors import DatasetError, RecipeError
from vesalius.recipe import Data
from vesalius.steps.mix import Part, opened, parts, weighted


def cases(data: Data, split: str) -> Iterator[Case]:
    """The cases of a split, streamed, as many as the recipe's limits let through.

    Those of the sets that are mixed in follow, each once, their ids, groups and picture keys
    marked with their set's name.
    """
    for part in parts(data, split):
        yield from part.cases(split)


def dialogues(
    data: Data,
    split: str,
    *,
    change: str | None = None,
    wordings: Mapping[str, str] = NOTHING,
) -> Iterator[Dialogue]:
    """The dialogues of a split, streamed; ``change`` names a perturbation of the cases.

    ``wordings``: questions as a translator gave them back, by their own words.
    """
    rows = [change_of(change)] if change else []
    for part in parts(data, split):
        stock = Stock(partial(part.cases, split), data.seed, wordings)
        for case in part.cases(split):
            if not rows:
                yield from _of_case(case, part, data)
            for row in rows:
                yield from changed(case, row, stock, part, data)


def dialogues_by_change(
    data: Data,
    split: str,
    changes: Sequence[Change],
    limit: int | None = None,
    wordings: Mapping[str, str] = NOTHING,
) -> Iterator[tuple[str, Dialogue]]:
    """Each case's dialogues as they are (under no name), then under each change that it can have.

    So what shares a picture stands together. Of the first ``limit`` dialogues of the split.
    """
    left = limit
    for part in parts(data, split):
        stock = Stock(partial(part.cases, split), data.seed, wordings)
        for case in part.cases(split):
            own = list(islice(_of_case(case, part, data), left))
            left = None if left is None else left - len(own)
            yield from (("", one) for one in own)
            wanted = {one.id for one in own}
            for row in changes:
                for one in changed(case, row, stock, part, data):
                    if one.id in wanted:
                        yield row.name, one
            if left == 0:
                return


def changed(case: Case, row: Change, stock: Stock, part: Part, data: Data) -> Iterator[Dialogue]:
    """The dialogues of a case under a change; none where the task asks no single questions."""
    if row.apart and not task_of(part.data.task).asks_apart:
        return
    for one in row.applied(case, stock):
        yield from _of_case(one, part, data)


def unchangeable(row: Change, data: Data) -> str:
    """Why a split in which nothing could have a change cannot, in words."""
    if row.apart and not task_of(data.task).asks_apart:
        return f"its questions are not asked one by one (task {data.task})"
    return f"no case has {row.needs}"


def _of_case(case: Case, part: Part, data: Data) -> Iterator[Dialogue]:
    own = part.data
    for one in to_dialogues(case, own.task, own.instruction, own.context, own.categories):
        yield replace(one, dataset=part.name) if data.mix else one


class Used:
    """A data set as a recipe uses it: the splits it names, cut to its limits."""

    def __init__(self, data: Data) -> None:
        self._data = data

    def splits(self) -> tuple[str, ...]:
        """The recipe's train, validation and test splits that the data set has."""
        named = self._data.splits.model_dump().values()
        return tuple(split for split in opened(self._data).splits() if split in named)

    def cases(self, split: str) -> Iterator[Case]:
        """The split's cases, as fitting and predicting see them."""
        return cases(self._data, split)


class Shared(NamedTuple):
    """What a recipe's splits share, counted by kind, and the ids to leave out of each split.

    ``contents``: how many cases each split has, and the digest of what they hold; ``sets``: the
    same of each set of a mix by itself, under its own splits' names, as an audit of it has them.
    """

    counts: dict[str, int]
    outside: dict[str, set[str]]
    contents: dict[str, dict[str, Any]]
    sets: dict[str, dict[str, dict[str, Any]]]


def leaks(data: Data) -> Shared:
    """What the recipe's splits share, and what to leave out of them.

    Leakage names the first pairs if the recipe refuses leaks, DatasetError a picture that cannot be
    read. Every picture is read once, for its hashes.
    """
    used = Used(data)
    found = read_members(used)
    unread = [str(member) for member in found if member.unread]
    if unread:
        hint = "vesalius data check names them; data import --allow-errors leaves them out"
        raise DatasetError(
            f"{len(unread)} cases have unreadable pictures", where=unread[0], hint=hint
        )
    counts = dict(audit_members(found, allow_leaks=data.leaks != "refuse").counts)
    order = [name for name in data.splits.model_dump().values() if name is not None]
    outside = shared_with_later(found, order) if data.leaks == "drop" else {}
    return Shared(counts, outside, split_digests(found), _digests_of_sets(data, order))


def _digests_of_sets(data: Data, splits: Sequence[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Each set of a mix, read again without its marks; its pictures are hashed by now."""
    members: defaultdict[str, list[Member]] = defaultdict(list)
    for split in splits if data.mix else ():
        for part in parts(data, split):
            alone = replace(part, mark="", split=part.split or split)
            members[part.name] += read_members(alone)
    return {name: split_digests(some) for name, some in members.items()}


def to_fit_on(data: Data, split: str) -> list[Dialogue]:
    """The dialogues of a split that have a reference. The test split is refused.

    Of sets that are mixed into the training split as many as their weights say.
    RecipeError if there is nothing to fit on, or if ``split`` is the test split; DatasetError for
    an id that two of them have.
    """
    if split == data.splits.test:
        raise RecipeError(
            f"{split!r} is the test split: it may not train or choose anything",
            where="data.splits",
        )
    found = [d for d in dialogues(data, split) if d.question.answers]
    if not found:
        raise RecipeError(f"split {split!r} holds nothing with a reference answer", where="data")
    name, number = Counter(d.id for d in found).most_common(1)[0]
    if number > 1:
        raise twin(name)
    return weighted(found, data, split) if data.mix else found


def twin(name: str) -> DatasetError:
    """The error for an id that two dialogues of a split have: answers are joined by it."""
    hint = "`vesalius data check` names the rows; give each case an id of its own"
    return DatasetError(f"two questions of the split have the id {name!r}", hint=hint)


def without(
    found: list[Dialogue], outside: Mapping[str, set[str]], split: str | None
) -> list[Dialogue]:
    """The dialogues of a split whose cases are not left out; RecipeError if none remains."""
    if split is None or not outside.get(split):
        return found
    kept = [d for d in found if d.case not in outside[split]]
    if not kept:
        hint = "make whole-group splits with `vesalius data split`"
        raise RecipeError(f"every case of {split!r} leaks into a later split", hint=hint)
    return kept


def fingerprint(found: Sequence[Dialogue]) -> dict[str, Any]:
    """Counts and a hash of what was asked, answered and shown (by key, not by pixel)."""
    digest = hashlib.sha256()
    for dialogue in found:
        turns = [
            [t.question.text, [_content(a) for a in t.question.answers], _content(t.reply)]
            for t in dialogue.turns
        ]
        keys = [p.key for p in dialogue.pictures]
        row = [dialogue.id, turns, keys, dict(dialogue.context)]
        row += [] if dialogue.system is None else [dialogue.system]
        digest.update(json.dumps(row, ensure_ascii=False).encode())
    pictures = {p.key for d in found for p in d.pictures}
    sets = Counter(d.dataset for d in found if d.dataset is not None)
    return {
        "dialogues": len(found),
        "pictures": len(pictures),
        "groups": len({d.group for d in found}),
        "sha256": digest.hexdigest(),
    } | ({"sets": dict(sets)} if sets else {})


def _content(answer: Answer | None) -> Any:
    """An answer as JSON: its text, where it holds nothing else."""
    if answer is None or (answer.boxes is None and answer.concepts is None):
        return answer and answer.text
    # Fields that came later are no part of the hash of what has none of them.
    boxes = answer.boxes and [
        {k: v for k, v in asdict(box).items() if k != "polygons" or v is not None}
        for box in answer.boxes
    ]
    return asdict(answer) | {"boxes": boxes}
