"""Prediction behind a shared image: its prefix runs once, its cache serves all questions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction, Usage
from vesalius.models.generative.rows import Encoder, Row, rows_of
from vesalius.recipe import Decoding

if TYPE_CHECKING:
    from vesalius.models.generative.network import Network

METHOD = "length-normalised token probability"


@dataclass(frozen=True, slots=True)
class Asked:
    """A dialogue with its place in the caller's order and its row (a single segment)."""

    place: int
    dialogue: Dialogue
    row: Row


def answer(
    network: Network, dialogues: Sequence[Dialogue], decoding: Decoding
) -> Iterator[tuple[int, Prediction]]:
    """(place, prediction) as batches finish; the answers are those of asking one by one.

    A batch holds prefixes of equal length, each encoded once however many questions it carries.
    Sampled answers are drawn one at a time, each from its own seed.
    """
    encoder, stops = network.encoder, network.stops
    asked = _asked(encoder, dialogues, network.max_length)
    for batch in _batches(asked, network, decoding):
        started = time.perf_counter()
        replies = _generate(network, batch, decoding)
        share = (time.perf_counter() - started) / len(batch)
        for one, (tokens, sure) in zip(batch, replies, strict=True):
            finish = "stop" if tokens and tokens[-1] in stops else "length"
            text = encoder.tokenizer.decode(tokens, skip_special_tokens=True).strip()
            prediction = Prediction.of(
                one.dialogue,
                Answer(text=text),
                confidence=Confidence(round(min(sure, 1.0), 6), METHOD),
                finish=finish,
                usage=_usage(one.row, len(tokens), share),
            )
            yield one.place, prediction


def _asked(encoder: Encoder, dialogues: Sequence[Dialogue], max_length: int) -> Iterator[Asked]:
    opened = [d.replying(None) for d in dialogues]
    place = 0
    for row in rows_of(opened, encoder, share=True, max_length=max_length):
        for segment in row.segments:
            yield Asked(place, dialogues[place], Row(row.prefix, (segment,)))
            place += 1


def _batches(asked: Iterable[Asked], network: Network, decoding: Decoding) -> Iterator[list[Asked]]:
    size = 1 if decoding.temperature > 0 else decoding.batch
    batch: list[Asked] = []
    kind: tuple[int, ...] = ()
    for one in asked:
        own = network.layout.alike(network.model, one.row, decoding.max_new_tokens)
        if batch and (len(batch) == size or own != kind):
            yield batch
            batch = []
        batch.append(one)
        kind = own
    if batch:
        yield batch


@torch.inference_mode()
def _generate(
    network: Network, batch: Sequence[Asked], decoding: Decoding
) -> list[tuple[list[int], float]]:
    """New tokens and confidence for each asked dialogue."""
    stops, beams = network.stops, decoding.beams
    rows = [asked.row for asked in batch]
    prompt = network.layout.prompt(network.model, rows, pad=stops[0], beams=beams)
    recorder = Recorder()
    with _drawing(decoding, batch[0].dialogue.id):
        made = prompt.model.generate(
            **prompt.arguments,
            max_new_tokens=decoding.max_new_tokens,
            num_beams=beams,
            eos_token_id=list(stops),
            pad_token_id=stops[0],
            logits_processor=LogitsProcessorList([recorder] if beams == 1 else []),
            return_dict_in_generate=True,
            output_scores=beams > 1,
            **_sampling(decoding),
        )
    new = [_until(tokens, stops) for tokens in made.sequences[:, prompt.start :].tolist()]
    if beams > 1:
        return list(zip(new, made.sequences_scores.exp().tolist(), strict=True))
    recorder.close(made.sequences[:, -1])
    return [(tokens, recorder.confidence(i, len(tokens))) for i, tokens in enumerate(new)]


class Recorder(LogitsProcessor):
    """Keeps the log-probability of each chosen token; one step's logits in memory at a time."""

    def __init__(self) -> None:
        self._last: torch.Tensor | None = None
        self._chosen: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Take the model's own probabilities, before any sampling changes them."""
        if self._last is not None:
            self.close(input_ids[:, -1])
        self._last = torch.log_softmax(scores.float(), dim=-1)
        return scores

    def close(self, tokens: torch.Tensor) -> None:
        """Record what was chosen from the last step's distribution."""
        assert self._last is not None
        self._chosen.append(self._last.gather(1, tokens[:, None])[:, 0])

    def confidence(self, index: int, length: int) -> float:
        """exp(mean log-probability) of the first ``length`` new tokens, the end token included."""
        chosen = torch.stack(self._chosen[:length], dim=1)[index]
        return float(chosen.mean().exp())


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
