"""Dialogues as the tokens of a language model: words alone, in its tokenizer's own template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from transformers import PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError
from vesalius.models.codecs import WORDS, Replies
from vesalius.models.generative.network import Network, stop_tokens
from vesalius.models.generative.rows.encoder import Encoder
from vesalius.models.generative.rows.forward import accept_row_batches
from vesalius.models.generative.rows.rows import IGNORED, Prefix, Segment
from vesalius.models.generative.rows.tokens import SpanTokenizer
from vesalius.models.generative.text.families import Family
from vesalius.models.generative.text.template import Rendered, Template, end_token


@dataclass(frozen=True, slots=True)
class Words:
    """A tokenizer in a processor's place."""

    tokenizer: Any

    def save_pretrained(self, folder: str | Path) -> None:
        """Save the tokenizer, its chat template with it."""
        self.tokenizer.save_pretrained(str(folder))


@dataclass(frozen=True, slots=True)
class Plain:
    """A tokenizer's chat template, whose messages hold a text and not parts."""

    tokenizer: Any

    def apply_chat_template(self, messages: Sequence[Mapping[str, Any]], **options: Any) -> Any:
        """The template's text of messages whose parts are texts."""
        flat = [
            {**one, "content": "".join(part["text"] for part in one["content"])} for one in messages
        ]
        return self.tokenizer.apply_chat_template(flat, **options)


class TextEncoder(Encoder):
    """Turns rendered dialogues into tokens; a row has no head."""

    needs_image: ClassVar[bool] = False

    def __init__(self, template: Template, processor: Words, family: Family) -> None:
        tokenizer = processor.tokenizer
        self.template, self.processor, self.square = template, processor, False
        self.tokenizer, self.family, self._most, self.image_id = tokenizer, family, None, -1
        reserved = [
            t for t in map(str, tokenizer.get_added_vocab()) if not template.codec.is_own(t)
        ]
        self._tokens = SpanTokenizer(tokenizer, anchor=tokenizer.eos_token, reserved=reserved)
        self._opening = _opening(tokenizer)

    def readable(self, dialogue: Dialogue) -> Dialogue:
        """The dialogue without its pictures, which are not read."""
        return without_pictures(dialogue)

    def prefix(self, rendered: Rendered, dialogue: Dialogue) -> Prefix:
        """No tokens: nothing is shared."""
        return Prefix((), (), {}, 0)

    def segment(self, rendered: Rendered, dialogue: str) -> Segment:
        """The whole dialogue as tokens with labels; ModelError where nothing is asked."""
        ids, labels = self._tokens.encode(rendered.tail, anchored=False, special=False)
        if not ids or labels[0] != IGNORED:
            raise ModelError("nothing is asked", where=dialogue)
        opening = () if ids[: len(self._opening)] == [*self._opening] else self._opening
        return Segment(dialogue, (*opening, *ids), (*(IGNORED for _ in opening), *labels))


def without_pictures(dialogue: Dialogue) -> Dialogue:
    """The dialogue's words alone."""
    if not dialogue.pictures:
        return dialogue
    return replace(dialogue, turns=tuple(replace(turn, pictures=()) for turn in dialogue.turns))


def assemble(
    model: PreTrainedModel,
    processor: Words,
    family: Family,
    *,
    max_length: int,
    chat_template: str | None = None,
    answers: Replies = WORDS,
) -> Network:
    """A network of a language model and its tokenizer.

    ``chat_template`` takes the place of the tokenizer's own, and is saved with it; without either,
    prompts are plain text. ``max_length``: at most so many tokens, or as many as the model's
    positions, where these are fewer.
    """
    tokenizer = processor.tokenizer
    tokenizer.chat_template = chat_template or tokenizer.chat_template or family.chat_template
    renderer = Plain(tokenizer)
    end = end_token(renderer, tokenizer)
    template = Template(renderer, image=family.image, end=end, codec=answers.codec())
    accept_row_batches(model, family)
    stops = stop_tokens(model, tokenizer, end)
    longest = getattr(model.config, "max_position_embeddings", None) or max_length
    encoder = TextEncoder(template, processor, family)
    return Network(model, processor, encoder, stops, family, min(max_length, longest))


def _opening(tokenizer: Any) -> tuple[int, ...]:
    """What the tokenizer puts before every text: a beginning-of-text token, or nothing."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
    return tuple(whole[:start])
