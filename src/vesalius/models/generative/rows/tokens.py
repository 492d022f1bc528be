"""Spans of text as tokens and labels, and as a family's own processor asks for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from transformers import BatchEncoding

from vesalius.models.generative.rows.rows import IGNORED
from vesalius.models.generative.text.template import Span

_MARK = re.compile("\ue000(\\d+)\ue001")
Labelled = tuple[list[int], list[int]]
"""Ids, and labels that equal them where loss is borne."""


class SpanTokenizer:
    """A tokenizer for spans: words that hold a reserved token's text stay plain text.

    ``anchor`` is a special token, ``reserved`` are those that no words may become.
    """

    def __init__(self, tokenizer: Any, *, anchor: str, reserved: Sequence[str]) -> None:
        self.tokenizer, self._anchor, self._reserved = tokenizer, anchor, tuple(reserved)

    def encode(self, spans: Sequence[Span], *, anchored: bool, special: bool = True) -> Labelled:
        """Ids and labels; ``anchored``: something stands before them.

        ``special``: at the start of all the tokenizer adds what it adds.
        """
        ids: list[int] = []
        labels: list[int] = []
        for run in self._runs(spans):
            part_ids, part_labels = self._tokenise(run, anchored or bool(ids), special)
            ids += part_ids
            labels += part_labels
        return ids, labels

    def _tokenise(self, spans: Sequence[Span], anchored: bool, special: bool) -> Labelled:
        text = "".join(span.text for span in spans)
        # A special token before the text keeps sentencepiece from adding a space at its start;
        # tokenizers cut at special tokens, so what follows is as in the whole string.
        anchor = self._anchor if anchored else ""
        if len(spans) == 1 and spans[0].words and self._is_hostile(text):
            ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)
            taken: list[int] = ids["input_ids"]
            return taken, [t if spans[0].loss else IGNORED for t in taken]
        encoding = self.tokenizer(
            anchor + text, add_special_tokens=special and not anchored, return_offsets_mapping=True
        )
        skip = 1 if anchored else 0
        bearing = _bearing(spans, len(anchor))
        ids = encoding["input_ids"][skip:]
        offsets = encoding["offset_mapping"][skip:]
        return ids, [
            t if _within(o, bearing) else IGNORED for t, o in zip(ids, offsets, strict=True)
        ]

    def _runs(self, spans: Sequence[Span]) -> list[list[Span]]:
        """Spans to be tokenised together: all of them, unless words hold a reserved token's text.

        Such words are tokenised on their own as plain text: a question cannot end its own turn.
        """
        runs: list[list[Span]] = [[]]
        for span in spans:
            if span.words and self._is_hostile(span.text):
                runs += [[span], []]
            else:
                runs[-1].append(span)
        return [run for run in runs if run]

    def _is_hostile(self, text: str) -> bool:
        return any(token in text for token in self._reserved)


class MarkedTokenizer:
    """The tokenizer as a processor calls it, for a text in which :func:`marked` put marks.

    So a processor writes a picture's tokens in the placeholder's place, and words stay words; the
    labels of what it was given last are in ``labels``.
    """

    def __init__(self, tokens: SpanTokenizer, spans: Sequence[Span]) -> None:
        self._tokens, self._spans = tokens, spans
        self.labels: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokens.tokenizer, name)

    def __call__(
        self,
        text: str | Sequence[str],
        *,
        add_special_tokens: bool = True,
        return_tensors: str | None = None,
        **_: Any,
    ) -> BatchEncoding:
        """Ids and attention mask of one text; a bare string is what the processor measures by."""
        encoding = self._tokens.tokenizer(text, add_special_tokens=add_special_tokens)
        if not isinstance(text, str):
            spans = unmarked(text[0], self._spans)
            ids, self.labels = self._tokens.encode(
                spans, anchored=False, special=add_special_tokens
            )
            encoding["input_ids"], encoding["attention_mask"] = [ids], [[1] * len(ids)]
        made: BatchEncoding = encoding.convert_to_tensors(return_tensors)
        return made


def marked(spans: Sequence[Span]) -> str:
    """The text of spans, a mark for each that is words or bears loss: what no processor reads."""
    return "".join(
        f"\ue000{number}\ue001" if span.words or span.loss else span.text
        for number, span in enumerate(spans)
    )


def unmarked(text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans again, of a text that a processor made of a marked one."""
    parts = _MARK.split(text)
    written = [Span(part, False, False) for part in parts[::2]]
    standing = [spans[int(number)] for number in parts[1::2]]
    both = [one for pair in zip(written, [*standing, None], strict=True) for one in pair]
    return [span for span in both if span is not None and span.text]


def _bearing(spans: Sequence[Span], start: int) -> list[tuple[int, int]]:
    """Character ranges that bear loss; neighbours are one range, as a token may span both."""
    ranges: list[tuple[int, int]] = []
    at = start
    for span in spans:
        stop = at + len(span.text)
        if span.loss and ranges and ranges[-1][1] == at:
            ranges[-1] = (ranges[-1][0], stop)
        elif span.loss:
            ranges.append((at, stop))
        at = stop
    return ranges


def _within(offset: tuple[int, int], ranges: list[tuple[int, int]]) -> bool:
    first, last = offset
    return any(start <= first and last <= stop and first < last for start, stop in ranges)
