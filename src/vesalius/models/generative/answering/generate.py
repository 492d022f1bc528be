"""Prediction behind a shared image: its prefix runs once, its cache serves all questions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, ClassVar, Protocol

import torch
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteriaList

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction, Usage
from vesalius.models import Piece
from vesalius.models.generative.answering.prefix_cache import PrefixCache
from vesalius.models.generative.answering.streaming import (
    IncrementalDetokeniser,
    Recorder,
    StreamingCriteria,
)
from vesalius.models.generative.network import Network
from vesalius.models.generative.rows.encoder import Prefixes
from vesalius.models.generative.rows.layouts.prefix_caching import Prompt
from vesalius.models.generative.rows.rows import Row
from vesalius.models.generative.rows.sharing import by_picture, rows_of
from vesalius.recipe import Decoding

METHOD = "length-normalised token probability"

Steering = Callable[[Sequence[Dialogue], int], Sequence[LogitsProcessor]]
"""What changes the scores of next tokens: for dialogues answered together, in the rows' order (each
so many rows as there are beams), and the place in a row at which its reply begins."""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A dialogue with its place in the caller's order and its row (a single segment)."""

    place: int
    dialogue: Dialogue
    row: Row


@dataclass(frozen=True, slots=True)
class Batch:
    """What is answered together; ``cached``: begun from what is kept, and kept in turn."""

    prompts: tuple[PromptRow, ...]
    cached: bool

    @property
    def rows(self) -> list[Row]:
        """The rows."""
        return [one.row for one in self.prompts]


@dataclass(frozen=True, slots=True)
class Generation:
    """How a network answers: the decoding, what is kept of conversations, who makes heads' tokens.

    ``prefix_cache``: where given, prompts begin with what it keeps, and are kept in turn.
    ``prefixes``: what makes tokens of a head, where that is not the network's encoder.
    ``steering``: what changes the scores of next tokens, after the model's own were recorded.
    ``alternatives``: how many of the beams are told of each dialogue, the best first.
    """

    network: Network
    decoding: Decoding
    prefix_cache: PrefixCache | None = None
    prefixes: Prefixes | None = None
    steering: Steering | None = None
    alternatives: int = 1

    def answer(self, dialogues: Sequence[Dialogue], sink: Sink) -> None:
        """Answer dialogues, those that share a prefix together; the sink gets every piece.

        The answers are those of asking one by one. A batch holds prefixes of equal length, each
        encoded once however many questions it carries; with a ``prefix_cache``, rows of any
        lengths. Sampled answers are drawn one at a time, each from its own seed.
        """
        for batch in self._batches(dialogues):
            if not all(sink.is_cancelled(one.place) for one in batch.prompts):
                self._generate(batch, BatchSink(self.network, batch, sink))

    def _prompt_rows(self, dialogues: Sequence[Dialogue]) -> Iterator[PromptRow]:
        encoder, prefixes = self.network.encoder, self.prefixes
        if self.prefix_cache is not None:
            prefixes = partial(self.prefix_cache.prefix, encoder)
        opened = [encoder.readable(dialogue.replying(None)) for dialogue in dialogues]
        order = by_picture(opened)
        most, places = self.network.max_length, iter(order)
        for row in rows_of(
            [opened[place] for place in order],
            encoder,
            share=True,
            max_length=most,
            prefixes=prefixes,
        ):
            for segment in row.segments:
                place = next(places)
                yield PromptRow(place, dialogues[place], Row(row.prefix, (segment,)))

    def _batches(self, dialogues: Sequence[Dialogue]) -> Iterator[Batch]:
        size = 1 if self.decoding.temperature > 0 else self.decoding.batch
        batch: list[PromptRow] = []
        kind: tuple[Any, ...] = ()
        for one in self._prompt_rows(dialogues):
            own = self._kind(one.row)
            if batch and (len(batch) == size or own != kind):
                yield Batch(tuple(batch), kind[0])
                batch = []
            batch.append(one)
            kind = own
        if batch:
            yield Batch(tuple(batch), kind[0])

    def _kind(self, row: Row) -> tuple[Any, ...]:
        """Whether a row is begun from what is kept, and what it is answered together with."""
        model, layout, most = self.network.model, self.network.layout, self.decoding.max_new_tokens
        if self.prefix_cache is not None and self.decoding.beams == 1:
            key = layout.cached_batch_key(model, row, most)
            if key is not None:
                return (True, *key)
        return (False, *layout.batch_key(model, row, most))

    def _prompt(self, batch: Batch) -> Prompt:
        model, layout, pad = self.network.model, self.network.layout, self.network.stops[0]
        if not batch.cached:
            return layout.prompt(model, batch.rows, pad=pad, beams=self.decoding.beams)
        assert self.prefix_cache is not None
        return layout.cached_prompt(model, batch.rows, self.prefix_cache, pad=pad)

    def _steered(self, batch: Batch, prompt: Prompt) -> Sequence[LogitsProcessor]:
        if self.steering is None:
            return ()
        return self.steering([one.dialogue for one in batch.prompts], prompt.start)

    @torch.inference_mode()
    def _generate(self, batch: Batch, sink: BatchSink) -> None:
        """Generate a batch's answers; of beams nothing is known before the end."""
        decoding, stops = self.decoding, self.network.stops
        prompt, most = self._prompt(batch), decoding.max_new_tokens
        recorder = Recorder() if decoding.beams == 1 else None
        criteria = StreamingCriteria(sink, recorder, stops, rows=len(batch.prompts), most=most)
        recording = [] if recorder is None else [recorder]
        with _drawing(decoding, batch.prompts[0].dialogue.id):
            output = prompt.model.generate(
                **prompt.arguments,
                max_new_tokens=most,
                num_beams=decoding.beams,
                num_return_sequences=self.alternatives,
                eos_token_id=list(stops),
                pad_token_id=stops[0],
                logits_processor=LogitsProcessorList([*recording, *self._steered(batch, prompt)]),
                stopping_criteria=StoppingCriteriaList([criteria]),
                return_dict_in_generate=True,
                output_logits=decoding.beams > 1,
                **_sampling(decoding),
            )
        if recorder is None:
            new = [_until(tokens, stops) for tokens in output.sequences[:, prompt.start :].tolist()]
            sink.finish(new, _confidences(output, prompt.start))
        elif batch.cached:
            assert self.prefix_cache is not None
            cache, layout = output.past_key_values, self.network.layout
            layout.keep(batch.rows, prompt, cache, criteria.new, self.prefix_cache)


class Sink(Protocol):
    """Who is given the answers, by places in the caller's order."""

    texts: ClassVar[bool]
    """Whether an answer's text is wanted while it is written, or only its prediction."""

    def emit(self, piece: Piece) -> None:
        """New text of an answer, or, last and once, its prediction."""

    def is_cancelled(self, place: int) -> bool:
        """Whether nobody waits for an answer any more: asked before every token, it ends there."""


class BatchSink:
    """From the tokens of a batch's rows to pieces of their answers."""

    def __init__(self, network: Network, batch: Batch, sink: Sink) -> None:
        self._network, self._prompts, self._sink = network, batch.prompts, sink
        tokenizer = network.encoder.tokenizer
        self._detokenisers = [
            IncrementalDetokeniser(tokenizer, network.text) for _ in batch.prompts
        ]
        self._seconds = [0.0] * len(batch.prompts)
        self._clock = time.perf_counter()

    def spend(self, places: Sequence[int]) -> None:
        """Divide the time since the last call among the rows at these places."""
        now = time.perf_counter()
        for place in places:
            self._seconds[place] += (now - self._clock) / len(places)
        self._clock = now

    def write(self, place: int, tokens: Sequence[int], sure: float | None) -> None:
        """What is new in a row's text; its prediction, once it has ended."""
        one, detokeniser = self._prompts[place], self._detokenisers[place]
        if self._sink.texts:
            text = detokeniser.so_far(tokens) if sure is None else detokeniser.rest(tokens)
            if text:
                self._sink.emit((one.place, text))
        if sure is not None:
            prediction = _prediction(self._network, one, tokens, sure, self._seconds[place])
            self._sink.emit((one.place, prediction))

    def finish(self, replies: Sequence[Sequence[int]], sures: Sequence[float]) -> None:
        """All rows at once, each with as many replies as are told, for those who still wait."""
        self.spend(range(len(self._prompts)))
        each = len(replies) // len(self._prompts)
        for number, (tokens, sure) in enumerate(zip(replies, sures, strict=True)):
            place = number // each
            if not self.is_cancelled(place):
                self.write(place, tokens, sure)

    def is_cancelled(self, place: int) -> bool:
        """Whether nobody waits for the row any more."""
        return self._sink.is_cancelled(self._prompts[place].place)


def _prediction(
    network: Network, one: PromptRow, tokens: Sequence[int], sure: float, seconds: float
) -> Prediction:
    text = network.text(tokens).strip()
    codec = network.codec
    decoded = codec.decode(text, one.dialogue.picture)
    return Prediction.of(
        one.dialogue,
        decoded.answer,
        abstained=not codec.holds(decoded.answer),
        notes=decoded.unread or None,
        confidence=Confidence(round(min(sure, 1.0), 6), METHOD),
        finish="stop" if tokens and tokens[-1] in network.stops else "length",
        usage=_usage(one.row, len(tokens), seconds),
    )


def _sampling(decoding: Decoding) -> dict[str, Any]:
    if decoding.temperature == 0.0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {
        "do_sample": True,
        "temperature": decoding.temperature,
        "min_p": decoding.min_p,
        "top_k": 0,
    }


@contextmanager
def _drawing(decoding: Decoding, dialogue: str) -> Iterator[None]:
    """Sampling from a seed of its own; training's random numbers stay where they were."""
    sampled = decoding.temperature > 0
    with torch.random.fork_rng(enabled=sampled):
        if sampled:
            name = f"{decoding.seed}:{dialogue}".encode()
            torch.manual_seed(int.from_bytes(sha256(name).digest()[:7], "big"))
        yield


def _until(tokens: list[int], stops: Sequence[int]) -> list[int]:
    """Tokens up to and including the first end token."""
    for index, token in enumerate(tokens):
        if token in stops:
            return tokens[: index + 1]
    return tokens


def _confidences(output: Any, start: int) -> list[float]:
    """exp(mean log-probability) of each beam's new tokens as the model gave them, unsteered."""
    new, beams = output.sequences[:, start:], output.beam_indices
    total = torch.zeros(len(new), device=new.device)
    for step, logits in enumerate(output.logits[: beams.shape[1]]):
        chosen = torch.log_softmax(logits[beams[:, step].clamp(min=0)].float(), dim=-1)
        sure = chosen.gather(1, new[:, step : step + 1])[:, 0]
        total += torch.where(beams[:, step] >= 0, sure, torch.zeros_like(sure))
    return (total / (beams >= 0).sum(1)).exp().tolist()  # type: ignore[no-any-return]


def _usage(row: Row, new_tokens: int, seconds: float) -> Usage:
    return Usage(
        prompt_tokens=row.length,
        image_tokens=row.prefix.image_tokens,
        new_tokens=new_tokens,
        seconds=round(seconds, 4),
    )
