"""From a rendered dialogue to tokens, pictures in the turns that show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, ClassVar

from PIL import ImageOps
from PIL.Image import Image

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError, Unshowable
from vesalius.models.generative.rows.rows import IGNORED, Images, Prefix, Segment
from vesalius.models.generative.rows.tokens import (
    Labelled,
    MarkedTokenizer,
    SpanTokenizer,
    marked,
    unmarked,
)
from vesalius.models.generative.text.families import Family
from vesalius.models.generative.text.template import Rendered, Span, Template

TOKENS = {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"}
"""What a processor returns of the text; everything else is the pictures'."""

Prefixes = Callable[[Rendered, Dialogue], Prefix]
"""What makes tokens of a head: an encoder, or what keeps something of its pictures."""


class Encoder:
    """Turns rendered dialogues into tokens, with the family's own processor and tokenizer."""

    needs_image: ClassVar[bool] = True
    """Whether a dialogue without a picture is refused."""

    def __init__(
        self,
        template: Template,
        processor: Any,
        family: Family,
        *,
        square: bool = False,
        most: int | None = None,
    ) -> None:
        self.template, self.processor, self.square = template, processor, square
        self.tokenizer = processor.tokenizer
        self.family, self._most = family, most
        soft = family.soft or family.image
        self.image_id = self.tokenizer.convert_tokens_to_ids(soft)
        if self.image_id is None or self.image_id == self.tokenizer.unk_token_id:
            raise ModelError(f"the tokenizer has no image token {soft!r}")
        added = map(str, self.tokenizer.get_added_vocab())
        reserved = [token for token in added if not template.codec.is_own(token)]
        self._tokens = SpanTokenizer(self.tokenizer, anchor=family.image, reserved=reserved)

    def readable(self, dialogue: Dialogue) -> Dialogue:
        """What of a dialogue is read: all of it."""
        return dialogue

    def prefix(self, rendered: Rendered, dialogue: Dialogue) -> Prefix:
        """The head with its pictures; ModelError if they did not become image tokens.

        Unshowable where a later turn shows one and the family reads pictures before all words.
        """
        self._require_order(dialogue)
        pictures = [picture.pixels() for picture in dialogue.pictures]
        if self.square:
            pictures = [ImageOps.pad(p, (max(p.size),) * 2) for p in pictures]
        make = self._repeated if self.family.repeats else self._by_processor
        (ids, labels), images = make(rendered.front, pictures)
        tokens = ids.count(self.image_id)
        if pictures and (tokens == 0 or not images):
            raise ModelError("the processor made no image tokens of the picture", where=dialogue.id)
        if self._most is not None and tokens > self._most * len(pictures):
            what = f"{len(pictures)} pictures make {tokens} tokens, more than {self._most} each"
            hint = "crop it if it is far longer than wide, or raise model.image_tokens.max"
            raise ModelError(what, where=dialogue.id, hint=hint)
        return Prefix(tuple(ids), tuple(labels), images, tokens)

    def image_tokens(self, picture: Image) -> int:
        """How many tokens a picture becomes."""
        make = self._repeated if self.family.repeats else self._by_processor
        (ids, _), _ = make([Span(self.family.image, False, False)], [picture])
        return ids.count(self.image_id)

    def _require_order(self, dialogue: Dialogue) -> None:
        later = next((at for at, turn in enumerate(dialogue.turns) if at and turn.pictures), None)
        if later is not None and self.family.repeats:
            raise Unshowable(
                f"turn {later + 1} shows a picture, and {self.family.title} reads all pictures "
                "before the first question",
                where=dialogue.id,
                hint="show them in the first turn, or take a family such as qwen2_5_vl",
            )

    def _by_processor(
        self, front: Sequence[Span], pictures: Sequence[Image]
    ) -> tuple[Labelled, Images]:
        """The processor puts a picture's tokens in the placeholder's place."""
        bos, text = self.tokenizer.bos_token, marked(front)
        doubled = bool(bos) and text.startswith(bos)
        processor = copy(self.processor)
        processor.tokenizer = tokens = MarkedTokenizer(self._tokens, front)
        inputs = processor(
            text=[text],
            images=list(pictures) or None,
            return_tensors="pt",
            add_special_tokens=not doubled,
        )
        images = {k: v for k, v in inputs.items() if k not in TOKENS}
        return (inputs["input_ids"][0].tolist(), tokens.labels), images

    def _repeated(
        self, front: Sequence[Span], pictures: Sequence[Image]
    ) -> tuple[Labelled, Images]:
        """We do: such processors would put them in front of everything."""
        placeholder = self.family.image
        each = placeholder * getattr(self.processor, str(self.family.repeats))
        spans = unmarked(marked(front).replace(placeholder, each), front)
        tokens = self._tokens.encode(spans, anchored=False, special=False)
        if not pictures:
            return tokens, {}
        return tokens, dict(self.processor.image_processor(list(pictures), return_tensors="pt"))

    def words(self, rendered: Rendered) -> int:
        """How many tokens the head has where each picture counts as its placeholder."""
        return len(self._tokens.encode(rendered.front, anchored=False)[0])

    def segment(self, rendered: Rendered, dialogue: str) -> Segment:
        """The tail as tokens with labels; the first never bears loss, as packing needs."""
        ids, labels = self._tokens.encode(rendered.tail, anchored=bool(rendered.front))
        if not ids:
            raise ModelError("nothing is asked", where=dialogue)
        if labels[0] != IGNORED:
            raise ModelError("the first token after the image would bear loss", where=dialogue)
        return Segment(dialogue, tuple(ids), tuple(labels))
