"""Prediction behind a shared image: its prefix runs once, its cache serves all questions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction, Usage
from vesalius.models import Piece
from vesalius.models.generative.answering.prefix_cache import PrefixCache
from vesalius.models.generative.answering.streaming import (
    IncrementalDetokeniser,
    Recorder,
    StreamingCriteria,
)
from vesalius.models.generative.rows.rows import Encoder, Row, rows_of
from vesalius.recipe import Decoding

if TYPE_CHECKING:
    from vesalius.models.generative.network import Network

METHOD = "length-normalised token probability"


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


def answer(
    network: Network,
    dialogues: Sequence[Dialogue],
    decoding: Decoding,
    prefix_cache: PrefixCache | None = None,
) -> Iterator[tuple[int, Prediction]]:
    """(place, prediction) as batches finish; the answers are those of asking one by one.

    A batch holds prefixes of equal length, each encoded once however many questions it carries;
    with a ``prefix_cache``, rows of any lengths. Sampled answers are drawn one at a time, each from
    its own seed.
    """
    for batch in _batches(network, dialogues, decoding, prefix_cache):
        started = time.perf_counter()
        replies = _generate(network, batch, decoding, prefix_cache)
        share = (time.perf_counter() - started) / len(batch.prompts)
        for one, (tokens, sure) in zip(batch.prompts, replies, strict=True):
            yield one.place, _prediction(network, one, tokens, sure, share)


def stream_answers(
    network: Network,
    dialogues: Sequence[Dialogue],
    decoding: Decoding,
    emit: Callable[[Piece], None],
    is_cancelled: Callable[[int], bool],
    *,
    prefix_cache: PrefixCache | None = None,
) -> None:
    """The same answers, each told piece by piece while it is written, its prediction last.

    ``is_cancelled`` is asked before every token whether nobody waits for the answer at a place any
    more: that one ends there, without a prediction. Of beams nothing is known before the end.
    """
    for batch in _batches(network, dialogues, decoding, prefix_cache):
        if all(is_cancelled(one.place) for one in batch.prompts):
            continue
        sink = StreamSink(network, batch, emit, is_cancelled)
        replies = _generate(network, batch, decoding, prefix_cache, sink)
        if decoding.beams > 1:
            for index, (tokens, sure) in enumerate(replies):
                if not sink.is_cancelled(index):
                    sink.write(index, tokens, sure)


class StreamSink:
    """Tells what the rows of a batch say, by their places in the caller's order."""

    def __init__(
        self,
        network: Network,
        batch: Batch,
        emit: Callable[[Piece], None],
        is_cancelled: Callable[[int], bool],
    ) -> None:
        self._network, self._prompts, self._emit, self._is_cancelled = (
            network,
            batch.prompts,
            emit,
            is_cancelled,
        )
        self._detokenisers = [
            IncrementalDetokeniser(network.encoder.tokenizer) for _ in batch.prompts
        ]
        self._started = time.perf_counter()

    def write(self, place: int, tokens: Sequence[int], sure: float | None) -> None:
        """What is new in a row's text; its prediction, once it has ended."""
        one, detokeniser = self._prompts[place], self._detokenisers[place]
        text = detokeniser.so_far(tokens) if sure is None else detokeniser.rest(tokens)
        if text:
            self._emit((one.place, text))
        if sure is not None:
            share = (time.perf_counter() - self._started) / len(self._prompts)
            self._emit((one.place, _prediction(self._network, one, tokens, sure, share)))

    def is_cancelled(self, place: int) -> bool:
        """Whether nobody waits for the row any more."""
        return self._is_cancelled(self._prompts[place].place)


def _prediction(
    network: Network, one: PromptRow, tokens: Sequence[int], sure: float, seconds: float
) -> Prediction:
    text = network.encoder.tokenizer.decode(tokens, skip_special_tokens=True).strip()
    return Prediction.of(
        one.dialogue,
        Answer(text=text),
        confidence=Confidence(round(min(sure, 1.0), 6), METHOD),
        finish="stop" if tokens and tokens[-1] in network.stops else "length",
        usage=_usage(one.row, len(tokens), seconds),
    )


def _prompt_rows(
    encoder: Encoder,
    dialogues: Sequence[Dialogue],
    max_length: int,
    prefix_cache: PrefixCache | None,
) -> Iterator[PromptRow]:
    opened = [d.replying(None) for d in dialogues]
    prefixes = encoder.prefix if prefix_cache is None else partial(prefix_cache.prefix, encoder)
    place = 0
    for row in rows_of(opened, encoder, share=True, max_length=max_length, prefixes=prefixes):
        for segment in row.segments:
            yield PromptRow(place, dialogues[place], Row(row.prefix, (segment,)))
            place += 1


def _batches(
    network: Network,
    dialogues: Sequence[Dialogue],
    decoding: Decoding,
    prefix_cache: PrefixCache | None,
) -> Iterator[Batch]:
    prompts = _prompt_rows(network.encoder, dialogues, network.max_length, prefix_cache)
    size = 1 if decoding.temperature > 0 else decoding.batch
    batch: list[PromptRow] = []
    kind: tuple[Any, ...] = ()
    for one in prompts:
        own = _kind(network, one.row, decoding, prefix_cache)
        if batch and (len(batch) == size or own != kind):
            yield Batch(tuple(batch), kind[0])
            batch = []
        batch.append(one)
        kind = own
    if batch:
        yield Batch(tuple(batch), kind[0])


def _kind(
    network: Network, row: Row, decoding: Decoding, prefix_cache: PrefixCache | None
) -> tuple[Any, ...]:
    """Whether a row is begun from what is kept, and what it is answered together with."""
    model, layout, most = network.model, network.layout, decoding.max_new_tokens
    if prefix_cache is not None and decoding.beams == 1:
        key = layout.cached_batch_key(model, row, most)
        if key is not None:
            return (True, *key)
    return (False, *layout.batch_key(model, row, most))


@torch.inference_mode()
def _generate(
    network: Network,
    batch: Batch,
    decoding: Decoding,
    prefix_cache: PrefixCache | None,
    sink: StreamSink | None = None,
) -> list[tuple[list[int], float]]:
    """New tokens and confidence for each asked dialogue; a sink was told of them already."""
    stops, beams, layout = network.stops, decoding.beams, network.layout
    if batch.cached:
        assert prefix_cache is not None
        prompt = layout.cached_prompt(network.model, batch.rows, prefix_cache, pad=stops[0])
    else:
        prompt = layout.prompt(network.model, batch.rows, pad=stops[0], beams=beams)
    recorder = Recorder() if beams == 1 else None
    criteria = None
    if sink is not None:
        rows, most = len(batch.prompts), decoding.max_new_tokens
        criteria = StreamingCriteria(sink, recorder, stops, rows=rows, most=most)
    with _drawing(decoding, batch.prompts[0].dialogue.id):
        output = prompt.model.generate(
            **prompt.arguments,
            max_new_tokens=decoding.max_new_tokens,
            num_beams=beams,
            eos_token_id=list(stops),
            pad_token_id=stops[0],
            logits_processor=LogitsProcessorList([recorder] if recorder else []),
            stopping_criteria=StoppingCriteriaList([criteria] if criteria else []),
            return_dict_in_generate=True,
            output_scores=beams > 1,
            **_sampling(decoding),
        )
    new = [_until(tokens, stops) for tokens in output.sequences[:, prompt.start :].tolist()]
    if criteria is not None and recorder is not None:
        new = criteria.new
    if batch.cached:
        assert prefix_cache is not None
        layout.keep(batch.rows, prompt, output.past_key_values, new, prefix_cache)
    if recorder is None:
        return list(zip(new, output.sequences_scores.exp().tolist(), strict=True))
    if criteria is not None:
        return []
    recorder.close(output.sequences[:, -1])
    return [(tokens, recorder.confidence(i, len(tokens))) for i, tokens in enumerate(new)]


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


def _usage(row: Row, new_tokens: int, seconds: float) -> Usage:
    return Usage(
        prompt_tokens=row.length,
        image_tokens=row.prefix.image_tokens,
        new_tokens=new_tokens,
        seconds=round(seconds, 4),
    )
