"""From dialogues to token rows: one image prefix, and behind it a segment per dialogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from PIL import ImageOps
from PIL.Image import Image

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError, TooLong
from vesalius.models.generative.text.families import Family
from vesalius.models.generative.text.template import Rendered, Span, Template

if TYPE_CHECKING:
    import torch

IGNORED = -100
TOKENS = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}
"""What a processor returns of the text; everything else is the pictures'."""

Images = Mapping[str, "torch.Tensor"]
PictureKey = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Prefix:
    """The shared head as tokens, with what the vision tower needs (``pixel_values`` ...)."""

    ids: tuple[int, ...]
    images: Images
    image_tokens: int
    key: PictureKey = ()
    """What names its pictures where something of them may be kept; () where nothing may."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A dialogue's own tokens; ``labels`` equals ``ids`` where loss is borne, -100 elsewhere."""

    dialogue: str
    ids: tuple[int, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence: a prefix and the segments that see it, and only it and themselves."""

    prefix: Prefix
    segments: tuple[Segment, ...]

    @property
    def length(self) -> int:
        """Tokens in the row."""
        return len(self.prefix.ids) + sum(len(s.ids) for s in self.segments)


Prefixes = Callable[[str, Dialogue], Prefix]
"""What makes tokens of a head: an encoder, or what keeps something of its pictures."""


class Encoder:
    """Turns rendered dialogues into tokens, with the family's own processor and tokenizer."""

    def __init__(
        self, template: Template, processor: Any, family: Family, *, square: bool = False
    ) -> None:
        self.template, self.processor, self.square = template, processor, square
        self.tokenizer = processor.tokenizer
        self._image, self._repeats = family.image, family.repeats
        soft = family.soft or family.image
        self.image_id = self.tokenizer.convert_tokens_to_ids(soft)
        if self.image_id is None or self.image_id == self.tokenizer.unk_token_id:
            raise ModelError(f"the tokenizer has no image token {soft!r}")
        added = map(str, self.tokenizer.get_added_vocab())
        self._reserved = tuple(token for token in added if not template.codec.is_own(token))

    def prefix(self, head: str, dialogue: Dialogue) -> Prefix:
        """The head with its pictures; ModelError if they did not become image tokens."""
        pictures = [picture.pixels() for picture in dialogue.pictures]
        if self.square:
            pictures = [ImageOps.pad(p, (max(p.size),) * 2) for p in pictures]
        ids, images = (
            self._repeated(head, pictures) if self._repeats else self._by_processor(head, pictures)
        )
        tokens = ids.count(self.image_id)
        if pictures and (tokens == 0 or not images):
            raise ModelError("the processor made no image tokens of the picture", where=dialogue.id)
        return Prefix(tuple(ids), images, tokens)

    def _by_processor(self, head: str, pictures: Sequence[Image]) -> tuple[list[int], Images]:
        """The processor puts a picture's tokens in the placeholder's place."""
        bos = self.tokenizer.bos_token
        doubled = bool(bos) and head.startswith(bos)
        inputs = self.processor(
            text=[head],
            images=list(pictures) or None,
            return_tensors="pt",
            add_special_tokens=not doubled,
        )
        return inputs["input_ids"][0].tolist(), {k: v for k, v in inputs.items() if k not in TOKENS}

    def _repeated(self, head: str, pictures: Sequence[Image]) -> tuple[list[int], Images]:
        """We do: such processors would put them in front of everything."""
        each = [self.image_id] * getattr(self.processor, str(self._repeats))
        first, *others = head.split(self._image)
        ids = self._plain(first)
        for other in others:
            ids += each + self._plain(other)
        if not pictures:
            return ids, {}
        return ids, dict(self.processor.image_processor(list(pictures), return_tensors="pt"))

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def segment(self, rendered: Rendered, dialogue: str) -> Segment:
        """The tail as tokens with labels; the first never bears loss, as packing needs."""
        ids: list[int] = []
        labels: list[int] = []
        for spans in _runs(rendered.tail, self._reserved):
            part_ids, part_labels = self._tokenise(spans, anchored=bool(rendered.head or ids))
            ids += part_ids
            labels += part_labels
        if not ids:
            raise ModelError("nothing is asked", where=dialogue)
        if labels[0] != IGNORED:
            raise ModelError("the first token after the image would bear loss", where=dialogue)
        return Segment(dialogue, tuple(ids), tuple(labels))

    def _tokenise(self, spans: Sequence[Span], *, anchored: bool) -> tuple[list[int], list[int]]:
        text = "".join(span.text for span in spans)
        # A special token before the text keeps sentencepiece from adding a space at its start;
        # tokenizers cut at special tokens, so what follows is as in the whole string.
        anchor = self._image if anchored else ""
        plain = len(spans) == 1 and spans[0].words and _holds(text, self._reserved)
        if plain:
            ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)
            taken: list[int] = ids["input_ids"]
            return taken, [t if spans[0].loss else IGNORED for t in taken]
        encoding = self.tokenizer(
            anchor + text, add_special_tokens=not anchored, return_offsets_mapping=True
        )
        skip = 1 if anchored else 0
        bearing = _bearing(spans, len(anchor))
        ids = encoding["input_ids"][skip:]
        offsets = encoding["offset_mapping"][skip:]
        return ids, [
            t if _within(o, bearing) else IGNORED for t, o in zip(ids, offsets, strict=True)
        ]


def rows_of(
    dialogues: Iterable[Dialogue],
    encoder: Encoder,
    *,
    share: bool,
    max_length: int,
    prefixes: Prefixes | None = None,
) -> Iterable[Row]:
    """Rows for dialogues already ordered by picture; a full row makes way for the next one.

    ``prefixes`` makes the head's tokens, by default the encoder. ModelError names a dialogue that
    alone is longer than ``max_length``: nothing is cut silently.
    """
    for _, group in groupby(dialogues, key=shared_key if share else lambda d: d.id):
        members = list(group)
        rendered = [encoder.template.render(d) for d in members]
        prefix = (prefixes or encoder.prefix)(rendered[0].head, members[0])
        room = max_length - len(prefix.ids)
        segments: list[Segment] = []
        for words, dialogue in zip(rendered, members, strict=True):
            segment = encoder.segment(words, dialogue.id)
            require_room(len(prefix.ids) + len(segment.ids), max_length, dialogue.id)
            if sum(len(s.ids) for s in segments) + len(segment.ids) > room:
                yield Row(prefix, tuple(segments))
                segments = []
            segments.append(segment)
        yield Row(prefix, tuple(segments))


def require_room(length: int, max_length: int, dialogue: str) -> None:
    """TooLong if a dialogue of ``length`` tokens, picture included, is longer than allowed."""
    if length > max_length:
        what = f"{length} tokens do not fit into {max_length}"
        raise TooLong(what, where=dialogue, hint="raise model.max_length")


def shared_key(dialogue: Dialogue) -> tuple[Any, ...]:
    """What two dialogues must have in common to stand behind the same prefix.

    Everything up to the last picture: the pictures, and the turns that stand before the last of
    them with what was replied there. Without pictures nothing is shared.
    """
    if not dialogue.pictures:
        return (dialogue.id,)
    last = max(i for i, turn in enumerate(dialogue.turns) if turn.pictures)
    before = tuple((t.question.text, t.reply) for t in dialogue.turns[:last])
    return (dialogue.pictures, before, tuple(dialogue.context.items()) if last else ())


def by_picture(dialogues: Sequence[Dialogue]) -> list[int]:
    """Places of the dialogues, those that share a prefix brought together, first seen first."""
    first: dict[Any, int] = {}
    for place, dialogue in enumerate(dialogues):
        first.setdefault(shared_key(dialogue), place)
    return sorted(range(len(dialogues)), key=lambda i: (first[shared_key(dialogues[i])], i))


def _runs(spans: Sequence[Span], reserved: tuple[str, ...]) -> list[list[Span]]:
    """Spans to be tokenised together: all of them, unless words hold a reserved token's text.

    Such words are tokenised on their own as plain text: a question cannot end its own turn.
    """
    runs: list[list[Span]] = [[]]
    for span in spans:
        if span.words and _holds(span.text, reserved):
            runs += [[span], []]
        else:
            runs[-1].append(span)
    return [run for run in runs if run]


def _holds(text: str, reserved: tuple[str, ...]) -> bool:
    return any(token in text for token in reserved)


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
