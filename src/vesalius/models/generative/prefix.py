"""Prediction behind a shared image: its prefix runs once, its cache serves all questions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction, Usage
from vesalius.models.generative.pack import images_of
from vesalius.models.generative.rows import Encoder, Row, rows_of
from vesalius.recipe import Decoding

METHOD = "length-normalised token probability"


@dataclass(frozen=True, slots=True)
class Asked:
    """A dialogue with its place in the caller's order and its row (a single segment)."""

    place: int
    dialogue: Dialogue
    row: Row


def answer(
    model: PreTrainedModel,
    encoder: Encoder,
    dialogues: Sequence[Dialogue],
    decoding: Decoding,
    *,
    max_length: int,
    stops: Sequence[int],
) -> Iterator[tuple[int, Prediction]]:
    """(place, prediction) as batches finish; the answers are those of asking one by one.

    A batch holds prefixes of equal length, each encoded once however many questions it carries.
    """
    for batch in _batches(_asked(encoder, dialogues, max_length), decoding.batch):
        started = time.perf_counter()
        replies = _generate(model, batch, decoding, stops)
        share = (time.perf_counter() - started) / len(batch)
        for asked, (tokens, sure) in zip(batch, replies, strict=True):
            finish = "stop" if tokens and tokens[-1] in stops else "length"
            text = encoder.tokenizer.decode(tokens, skip_special_tokens=True).strip()
            yield (
                asked.place,
                Prediction.of(
                    asked.dialogue,
                    Answer(text=text),
                    confidence=Confidence(round(min(sure, 1.0), 6), METHOD),
                    finish=finish,
                    usage=_usage(asked.row, len(tokens), share),
                ),
            )


def _asked(encoder: Encoder, dialogues: Sequence[Dialogue], max_length: int) -> Iterator[Asked]:
    opened = [d.replying(None) for d in dialogues]
    place = 0
    for row in rows_of(opened, encoder, share=True, max_length=max_length):
        for segment in row.segments:
            yield Asked(place, dialogues[place], Row(row.prefix, (segment,)))
            place += 1


def _batches(asked: Iterable[Asked], size: int) -> Iterator[list[Asked]]:
    batch: list[Asked] = []
    for one in asked:
        alike = not batch or len(batch[0].row.prefix.ids) == len(one.row.prefix.ids)
        if batch and (len(batch) == size or not alike):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


@torch.inference_mode()
def _generate(
    model: PreTrainedModel, batch: Sequence[Asked], decoding: Decoding, stops: Sequence[int]
) -> list[tuple[list[int], float]]:
    """New tokens and confidence for each asked dialogue."""
    prefixes, owner = _distinct(batch)
    pad = stops[0]
    ids, mask = _left_padded(batch, pad)
    extra: dict[str, Any] = {}
    if prefixes and prefixes[0].prefix.ids:
        cache = _prefill(model, prefixes)
        index = torch.tensor(owner, device=model.device).repeat_interleave(decoding.beams)
        cache.batch_select_indices(index)
        extra["past_key_values"] = cache
    recorder = Recorder()
    made = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=decoding.max_new_tokens,
        num_beams=decoding.beams,
        eos_token_id=list(stops),
        pad_token_id=pad,
        logits_processor=LogitsProcessorList([recorder] if decoding.beams == 1 else []),
        return_dict_in_generate=True,
        output_scores=decoding.beams > 1,
        **_sampling(decoding),
        **extra,
    )
    new = [_until(tokens, stops) for tokens in made.sequences[:, ids.shape[1] :].tolist()]
    if decoding.beams > 1:
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


def _prefill(model: PreTrainedModel, prefixes: Sequence[Row]) -> Any:
    ids = torch.tensor([row.prefix.ids for row in prefixes], device=model.device)
    images = {
        name: value.to(model.device, model.dtype if value.is_floating_point() else None)
        for name, value in images_of(prefixes).items()
    }
    made = model(input_ids=ids, use_cache=True, logits_to_keep=1, **images)
    return made.past_key_values


def _distinct(batch: Sequence[Asked]) -> tuple[list[Row], list[int]]:
    """The batch's different prefixes, and for each asked dialogue which one is its own."""
    prefixes: list[Row] = []
    owner: list[int] = []
    for asked in batch:
        if not prefixes or prefixes[-1].prefix is not asked.row.prefix:
            prefixes.append(asked.row)
        owner.append(len(prefixes) - 1)
    return prefixes, owner


def _left_padded(batch: Sequence[Asked], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (B, T): the prefix, then pads, then the question, so that all end together."""
    longest = max(len(asked.row.segments[0].ids) for asked in batch)
    ids, mask = [], []
    for asked in batch:
        prefix, tail = list(asked.row.prefix.ids), list(asked.row.segments[0].ids)
        gap = longest - len(tail)
        ids.append(prefix + [pad] * gap + tail)
        mask.append([1] * len(prefix) + [0] * gap + [1] * len(tail))
    return torch.tensor(ids), torch.tensor(mask)


def _sampling(decoding: Decoding) -> dict[str, Any]:
    if decoding.temperature == 0.0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    torch.manual_seed(decoding.seed)
    return {
        "do_sample": True,
        "temperature": decoding.temperature,
        "min_p": decoding.min_p,
        "top_k": 0,
    }


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
