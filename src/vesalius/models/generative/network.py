"""A vision-language model together with its processor, template and end tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from transformers import PreTrainedModel
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from vesalius.models.codecs import WORDS, AnswerCodec, Replies
from vesalius.models.generative.rows.budget import limit
from vesalius.models.generative.rows.encoder import Encoder
from vesalius.models.generative.rows.forward import accept_row_batches
from vesalius.models.generative.rows.layouts import Layout, layouts
from vesalius.models.generative.text.families import Family
from vesalius.models.generative.text.template import Template, end_token


@dataclass(frozen=True, slots=True)
class Network:
    """What the generative learners build, train and ask.

    ``stops`` are the ids of the tokens that end a reply.
    """

    model: PreTrainedModel
    processor: Any
    encoder: Encoder
    stops: tuple[int, ...]
    family: Family
    max_length: int

    @property
    def codec(self) -> AnswerCodec:
        """How its replies are written and read."""
        return self.encoder.template.codec

    def text(self, tokens: Sequence[int]) -> str:
        """What was written with tokens: reserved ones are none of it, but for the codec's own."""
        tokenizer = self.encoder.tokenizer
        special = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
        own = {number: token for number, token in special if self.codec.is_own(token)}
        parts = []
        for number, run in groupby(tokens, key=lambda token: token if token in own else None):
            decoded = tokenizer.decode(list(run), skip_special_tokens=True)
            parts.append(decoded if number is None else own[number])
        return "".join(parts)

    @property
    def layout(self) -> Layout:
        """How the family's rows become tensors."""
        return layouts[self.family.layout]


def assemble(
    model: PreTrainedModel,
    processor: Any,
    family: Family,
    *,
    max_length: int,
    most_image_tokens: int | None = None,
    square: bool = False,
    chat_template: str | None = None,
    answers: Replies = WORDS,
) -> Network:
    """A network from its pieces; ModelError if the tokenizer does not know the placeholder.

    ``most_image_tokens``: what a picture may become, by its processor's setting; RecipeError where
    that cannot be. ``square``: pictures are padded to a square before the processor resizes them.
    ``chat_template`` takes the place of the model's own, and is saved with its processor.
    ``answers``: what its replies hold.
    """
    tokenizer = processor.tokenizer
    renderer = _templated(processor, chat_template, family)
    end = end_token(renderer, tokenizer)
    codec = answers.codec(partial(resized, processor.image_processor))
    template = Template(renderer, image=family.image, end=end, codec=codec)
    encoder = Encoder(template, processor, family, square=square, most=most_image_tokens)
    if most_image_tokens is not None:
        limit(encoder, model.config, most_image_tokens)
    accept_row_batches(model, family)
    stops = stop_tokens(model, tokenizer, end)
    return Network(model, processor, encoder, stops, family, max_length)


def stop_tokens(model: PreTrainedModel, tokenizer: Any, end: str) -> tuple[int, ...]:
    """The ids that end a reply: the template's own first, then those of the model's settings."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    more = configured if isinstance(configured, list) else [configured]
    stops = [tokenizer.convert_tokens_to_ids(end), *(t for t in more if t is not None)]
    return tuple(dict.fromkeys(stops))


def resized(images: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height to which a Qwen-VL image processor resizes a picture of a size."""
    limits, factor = images.size, images.patch_size * images.merge_size
    height, width = smart_resize(
        size[1], size[0], factor, limits["shortest_edge"], limits["longest_edge"]
    )
    return width, height


def _templated(processor: Any, chat_template: str | None, family: Family) -> Any:
    """What renders: the processor, which with its tokenizer then carries the template.

    The recipe's template, else the processor's, the tokenizer's or the family's. Folders keep it in
    a file of its own or in the tokenizer's settings; both carry it from here on, so that whoever
    loads what is saved finds it. A tokenizer renders where the processor's class reads no template.
    """
    tokenizer = processor.tokenizer
    own = getattr(processor, "chat_template", None)
    template = chat_template or own or tokenizer.chat_template or family.chat_template
    renders_itself = family.renderer == "processor" and template is not None
    processor.chat_template = tokenizer.chat_template = template
    return processor if renders_itself else tokenizer
