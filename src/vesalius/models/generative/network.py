"""A vision-language model together with its processor, template and end tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from transformers import PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError
from vesalius.models import Piece
from vesalius.models.generative.answering.generate import answer, stream_answers
from vesalius.models.generative.answering.prefix_cache import PrefixCache
from vesalius.models.generative.answering.streaming import iterated
from vesalius.models.generative.features import PROJECTOR_INPUT, projected
from vesalius.models.generative.rows.layouts import Layout, layouts
from vesalius.models.generative.rows.rows import Encoder, shared_key
from vesalius.models.generative.text.families import Family
from vesalius.models.generative.text.template import Template
from vesalius.models.guard import require_pictures
from vesalius.recipe import Decoding


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
    def layout(self) -> Layout:
        """How the family's rows become tensors."""
        return layouts[self.family.layout]


def assemble(
    model: PreTrainedModel,
    processor: Any,
    family: Family,
    *,
    max_length: int,
    square: bool = False,
    chat_template: str | None = None,
) -> Network:
    """A network from its pieces; ModelError if the tokenizer does not know the placeholder.

    ``square``: pictures are padded to a square before the processor resizes them.
    ``chat_template`` takes the place of the model's own, and is saved with its processor.
    """
    tokenizer = processor.tokenizer
    if chat_template is not None:
        tokenizer.chat_template = chat_template
        processor.chat_template = chat_template
    elif family.chat_template and tokenizer.chat_template is None:
        tokenizer.chat_template = family.chat_template
    renderer = processor if getattr(processor, "chat_template", None) else tokenizer
    end = end_token(renderer, tokenizer)
    template = Template(renderer, image=family.image, end=end)
    encoder = Encoder(template, processor, family, square=square)
    accept_row_batches(model, family)
    configured = getattr(model.generation_config, "eos_token_id", None)
    more = configured if isinstance(configured, list) else [configured]
    stops = [tokenizer.convert_tokens_to_ids(end), *(t for t in more if t is not None)]
    return Network(model, processor, encoder, tuple(dict.fromkeys(stops)), family, max_length)


def end_token(renderer: Any, tokenizer: Any) -> str:
    """The token with which the chat template ends a reply, else the tokenizer's end of sequence."""
    mark = "\ue000"
    text: str = renderer.apply_chat_template(
        [
            {"role": "user", "content": [{"type": "text", "text": "?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": mark}]},
        ],
        tokenize=False,
    )
    after = text.rsplit(mark, maxsplit=1)[-1].strip()
    for token in sorted(tokenizer.get_added_vocab(), key=len, reverse=True):
        if after.startswith(token):
            return str(token)
    if tokenizer.eos_token is None:
        raise ModelError("neither the chat template nor the tokenizer names an end token")
    return str(tokenizer.eos_token)


def accept_row_batches(model: PreTrainedModel, family: Family) -> None:
    """Let the model's forward pass take our batches as well as its own arguments.

    On the instance, as accelerate does for mixed precision: adapters, Trainer and parallel wrappers
    all end up there, whatever they wrap.
    """
    forward, layout = model.forward, layouts[family.layout]
    if hasattr(forward, "accepts_rows"):
        return

    @wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Any:
        ours = not args and ("prefix_lengths" in kwargs or "image_rows" in kwargs)
        if PROJECTOR_INPUT in kwargs:
            kwargs["mm_encoder_outputs"] = projected(model, family, kwargs.pop(PROJECTOR_INPUT))
        return layout.run(model, forward, kwargs) if ours else forward(*args, **kwargs)

    run.accepts_rows = layout  # type: ignore[attr-defined]
    model.forward = run


class Answerer:
    """The Model: answers dialogues with a network, each image prefix encoded once.

    ``prefix_cache``: where given, conversations are kept there, and go on from where they were.
    """

    needs_image = True

    def __init__(self, network: Network, *, autocast: torch.dtype | None = None) -> None:
        self.network, self._autocast = network, autocast
        self.prefix_cache: PrefixCache | None = None

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue, in order: what :meth:`stream` ends with."""
        order = self._order(dialogues)
        with _evaluating(self.network.model, self._autocast):
            ordered = [dialogues[i] for i in order]
            answered = answer(self.network, ordered, decoding, self.prefix_cache)
            predictions = {order[place]: prediction for place, prediction in answered}
        return [predictions[place] for place in range(len(dialogues))]

    def stream(
        self,
        dialogues: Sequence[Dialogue],
        decoding: Decoding,
        *,
        cancelled: Callable[[int], bool] | None = None,
    ) -> Iterator[Piece]:
        """(place, text) as it is written, and (place, prediction) as each answer ends.

        The texts of a place, joined and stripped, are its prediction's. Closing the iterator stops
        the work before the next token, as ``cancelled(place)`` stops one answer, which then has no
        prediction. Beams are told at their end.
        """
        order = self._order(dialogues)

        def work(put: Callable[[Piece], None], closed: Callable[[], bool]) -> None:
            def emit(piece: Piece) -> None:
                put((order[piece[0]], piece[1]))

            def is_cancelled(place: int) -> bool:
                return closed() or (cancelled is not None and cancelled(order[place]))

            with _evaluating(self.network.model, self._autocast):
                ordered = [dialogues[i] for i in order]
                stream_answers(
                    self.network,
                    ordered,
                    decoding,
                    emit,
                    is_cancelled,
                    prefix_cache=self.prefix_cache,
                )

        yield from iterated(work)

    def _order(self, dialogues: Sequence[Dialogue]) -> list[int]:
        require_pictures(dialogues)
        return by_picture(dialogues)


def by_picture(dialogues: Sequence[Dialogue]) -> list[int]:
    """Places of the dialogues, those that share a prefix brought together, first seen first."""
    first: dict[Any, int] = {}
    for place, dialogue in enumerate(dialogues):
        first.setdefault(shared_key(dialogue), place)
    return sorted(range(len(dialogues)), key=lambda i: (first[shared_key(dialogues[i])], i))


@contextmanager
def _evaluating(model: PreTrainedModel, autocast: torch.dtype | None) -> Iterator[None]:
    training = model.training
    model.eval()
    kind = model.device.type
    try:
        with torch.autocast(kind, dtype=autocast or torch.bfloat16, enabled=autocast is not None):
            yield
    finally:
        model.train(training)


def words_of(dialogues: Iterable[Dialogue]) -> Iterator[str]:
    """Every text in the dialogues: what a small tokenizer is trained on."""
    for dialogue in dialogues:
        yield from dialogue.context.values()
        for turn in dialogue.turns:
            yield turn.question.text
            answers = (*turn.question.answers, *([turn.reply] if turn.reply else []))
            yield from (a.text for a in answers if a.text)
