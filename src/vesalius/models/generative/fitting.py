"""Fitting a network: rows from dialogues, the plan before long work, the mask to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

from torch.utils.data import Dataset

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError
from vesalius.models.generative.network import Network, by_picture
from vesalius.models.generative.rows.layouts import Layout
from vesalius.models.generative.rows.rows import (
    IGNORED,
    Encoder,
    Row,
    require_room,
    rows_of,
    shared_key,
)
from vesalius.training.settings import Training


class Groups(Dataset[list[Row]]):
    """Training items: the dialogues that share a picture, read and tokenised when asked for."""

    def __init__(
        self,
        dialogues: Sequence[Dialogue],
        encoder: Encoder,
        *,
        share: bool,
        per_row: int,
        max_length: int,
    ) -> None:
        closed = [d.closed() for d in dialogues]
        self._groups = list(_grouped(closed, per_row)) if share else [[d] for d in closed]
        self._encoder, self._share, self._max_length = encoder, share, max_length

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, index: int) -> list[Row]:
        group = self._groups[index]
        return list(rows_of(group, self._encoder, share=self._share, max_length=self._max_length))


def collator(network: Network) -> Callable[[Sequence[list[Row]]], dict[str, Any]]:
    """The batch function of a Trainer over :class:`Groups`."""
    return partial(_collate, layout=network.layout, pad=network.stops[0])


def _collate(items: Sequence[list[Row]], *, layout: Layout, pad: int) -> dict[str, Any]:
    rows = [row for rows in items for row in rows]
    ids = [segment.dialogue for row in rows for segment in row.segments]
    tokens = sum(row.length for row in rows)
    return {**layout.collate(rows, pad=pad), "ids": ids, "tokens": tokens}


def _grouped(dialogues: Sequence[Dialogue], per_row: int) -> Iterator[list[Dialogue]]:
    group: list[Dialogue] = []
    for place in by_picture(dialogues):
        dialogue = dialogues[place]
        if group and (shared_key(group[0]) != shared_key(dialogue) or len(group) == per_row):
            yield group
            group = []
        group.append(dialogue)
    if group:
        yield group


def check_prompts(dialogues: Sequence[Dialogue], network: Network, *, sample: int = 32) -> None:
    """Each training row begins with exactly the tokens that serving would send.

    ModelError names the first dialogue where the reply's tokens melt into the prompt's.
    """
    encoder = network.encoder
    for dialogue in islice(dialogues, sample):
        closed = encoder.segment(encoder.template.render(dialogue.closed()), dialogue.id)
        opened = encoder.segment(encoder.template.render(dialogue.replying(None)), dialogue.id)
        start = len(opened.ids)
        if closed.ids[:start] != opened.ids or closed.labels[start:] != closed.ids[start:]:
            raise ModelError(
                "the training row is not prompt + reply, token for token", where=dialogue.id
            )


def check_lengths(dialogues: Sequence[Dialogue], network: Network) -> None:
    """Each dialogue fits into a row behind the first one's picture: nothing fails in mid-epoch.

    ModelError names the first that does not. Pictures that a family cuts into more tiles than the
    first are found when they come up.
    """
    encoder = network.encoder
    head = encoder.template.render(dialogues[0]).head
    before = len(encoder.encode_head(head, dialogues[0]).ids)
    for dialogue in dialogues:
        tail = encoder.segment(encoder.template.render(dialogue.closed()), dialogue.id)
        require_room(before + len(tail.ids), network.max_length, dialogue.id)


def plan(items: Groups, training: Training, *, sample: int = 32) -> dict[str, Any]:
    """What a fit will do, measured on a sample of its rows: tokens, labels, steps."""
    step = max(1, len(items) // sample)
    rows = [row for i in range(0, len(items), step) for row in items[i]]
    lengths = sorted(row.length for row in rows)
    per_step = training.batch * training.accumulate
    labels = sum(t != IGNORED for row in rows for s in row.segments for t in s.labels)
    return {
        "rows": len(items),
        "dialogues_per_row": round(sum(len(r.segments) for r in rows) / len(rows), 2),
        "tokens_per_row": round(sum(lengths) / len(rows), 1),
        "longest_row": lengths[-1],
        "image_tokens": rows[0].prefix.image_tokens,
        "labels_per_row": round(labels / len(rows), 1),
        "steps": training.steps(len(items)),
        "tokens_per_step": round(per_step * sum(lengths) / len(rows)),
    }


def masked_tokens(row: Row, encoder: Encoder) -> Iterator[tuple[str, bool]]:
    """(token text, bears loss) along a row, image tokens folded into one, for ``--show-mask``."""
    tokenizer = encoder.tokenizer
    folded = 0
    for token in row.prefix.ids:
        if token == encoder.image_id:
            folded += 1
            continue
        if folded:
            yield f"[{folded} image tokens]", False
            folded = 0
        yield tokenizer.decode([token]), False
    if folded:
        yield f"[{folded} image tokens]", False
    for segment in row.segments:
        yield "\n", False
        for token, label in zip(segment.ids, segment.labels, strict=True):
            yield tokenizer.decode([token]), label != IGNORED
