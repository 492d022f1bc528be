"""The Model: a network that answers dialogues."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from transformers import PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError, TooLong
from vesalius.models import Piece
from vesalius.models.capabilities import Pictures
from vesalius.models.generative.answering.generate import Generation, Sink, Steering
from vesalius.models.generative.answering.prefix_cache import PrefixCache
from vesalius.models.generative.answering.streaming import iterated
from vesalius.models.generative.network import Network
from vesalius.models.generative.rows.encoder import Prefixes
from vesalius.models.generative.rows.sharing import rows_of
from vesalius.models.guard import require_pictures
from vesalius.recipe import Decoding


class Answerer:
    """The Model: answers dialogues with a network, each image prefix encoded once.

    ``prefix_cache``: where given, conversations are kept there, and go on from where they were.
    ``autocast``: the dtype to compute in, fp32 by default. ``prefixes``: what makes tokens of a
    prompt's head, where that is not the network's encoder.
    """

    def __init__(
        self,
        network: Network,
        *,
        autocast: torch.dtype | None = None,
        prefixes: Prefixes | None = None,
    ) -> None:
        self.network, self._autocast, self._prefixes = network, autocast, prefixes
        self.prefix_cache: PrefixCache | None = None
        self._steering: Steering | None = None

    def steered(self, steering: Steering) -> Answerer:
        """The same model, the scores of its next tokens changed by ``steering``."""
        other = copy(self)
        other._steering = steering
        return other

    @property
    def needs_image(self) -> bool:
        """Whether a dialogue without a picture is refused."""
        return self.network.encoder.needs_image

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue, in order: what :meth:`stream` ends with."""
        sink = PredictionSink()
        self._answer(dialogues, decoding, sink)
        return [sink.predictions[place] for place in range(len(dialogues))]

    def alternatives(
        self, dialogues: Sequence[Dialogue], decoding: Decoding
    ) -> list[list[Prediction]]:
        """All beams of each dialogue, the best first; ModelError for fewer than two beams."""
        if decoding.beams < 2:
            raise ModelError("alternatives are beams", hint="say decoding.beams: 4")
        sink = BeamSink()
        self._answer(dialogues, decoding, sink, alternatives=decoding.beams)
        return [sink.beams[place] for place in range(len(dialogues))]

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

        def work(put: Callable[[Piece], None], closed: Callable[[], bool]) -> None:
            self._answer(dialogues, decoding, PieceSink(put, closed, cancelled))

        yield from iterated(work)

    @property
    def takes_pictures(self) -> Pictures:
        """It answers from pictures alone, or is a language model and never sees any."""
        return "required" if self.needs_image else "none"

    @property
    def pictures_in_turns(self) -> bool:
        """Whether the family reads a picture in the turn that shows it."""
        return self.network.family.repeats is None

    def tokens(self, text: str) -> list[int]:
        """The ids of a text's tokens, without those that begin or end it."""
        return list(self.network.encoder.tokenizer(text, add_special_tokens=False)["input_ids"])

    def fits(self, dialogue: Dialogue) -> bool:
        """Whether the dialogue, open, is no longer than a row may be: it is tokenised to see."""
        network = self.network
        opened = [network.encoder.readable(dialogue.replying(None))]
        try:
            list(rows_of(opened, network.encoder, share=False, max_length=network.max_length))
        except TooLong:
            return False
        return True

    def _answer(
        self, dialogues: Sequence[Dialogue], decoding: Decoding, sink: Sink, alternatives: int = 1
    ) -> None:
        if self.needs_image:
            require_pictures(dialogues)
        generation = Generation(
            self.network,
            decoding,
            self.prefix_cache,
            self._prefixes,
            self._steering,
            alternatives,
        )
        with _evaluating(self.network.model, self._autocast):
            generation.answer(dialogues, sink)


class PredictionSink:
    """A sink that keeps the predictions by place: all that is left when nobody listens."""

    texts: ClassVar[bool] = False

    def __init__(self) -> None:
        self.predictions: dict[int, Prediction] = {}

    def emit(self, piece: Piece) -> None:
        """Keep a prediction."""
        place, prediction = piece
        assert isinstance(prediction, Prediction)
        self.predictions[place] = prediction

    def is_cancelled(self, place: int) -> bool:
        """Never."""
        return False


class BeamSink:
    """A sink that keeps every beam's prediction by place, in the order of the beams."""

    texts: ClassVar[bool] = False

    def __init__(self) -> None:
        self.beams: defaultdict[int, list[Prediction]] = defaultdict(list)

    def emit(self, piece: Piece) -> None:
        """Keep a prediction."""
        place, prediction = piece
        assert isinstance(prediction, Prediction)
        self.beams[place].append(prediction)

    def is_cancelled(self, place: int) -> bool:
        """Never."""
        return False


@dataclass(frozen=True, slots=True)
class PieceSink:
    """A sink that hands each piece on."""

    put: Callable[[Piece], None]
    closed: Callable[[], bool]
    cancelled: Callable[[int], bool] | None
    texts: ClassVar[bool] = True

    def emit(self, piece: Piece) -> None:
        """Hand a piece on."""
        self.put(piece)

    def is_cancelled(self, place: int) -> bool:
        """Whether nobody waits for this answer, or for any."""
        return self.closed() or (self.cancelled is not None and self.cancelled(place))


@contextmanager
def _evaluating(model: PreTrainedModel, autocast: torch.dtype | None) -> Iterator[None]:
    training = model.training
    cudnn: bool = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    model.eval()
    # cuDNN's attention makes a plan for each shape in each thread, tens of milliseconds: a reply is
    # another shape with every token, and a streamed one has a thread of its own.
    torch.backends.cuda.enable_cudnn_sdp(False)
    kind = model.device.type
    try:
        with torch.autocast(kind, dtype=autocast or torch.bfloat16, enabled=autocast is not None):
            yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(cudnn)
        model.train(training)
