"""Saved answers, or an echo, at the pace of a model: for tests, load and the look of the pages."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction, Usage
from vesalius.models import Piece
from vesalius.models.replay import SavedAnswers, plain
from vesalius.recipe import Decoding
from vesalius.service.engine.model_host import ModelHost, software

STEP_SECONDS = 0.05
"""How often it is looked whether somebody still waits."""


class Rehearsal:
    """Answers from saved predictions, or an echo of the question, ``seconds`` a batch.

    A question without a saved answer is echoed, so that every request can be told from every other.
    """

    def __init__(self, saved: SavedAnswers | None = None, *, seconds: float = 0.2) -> None:
        self._saved, self._seconds = saved, seconds
        self.needs_image = False

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue, in order."""
        pieces = self.stream(dialogues, decoding)
        return [piece for _, piece in pieces if isinstance(piece, Prediction)]

    def stream(
        self,
        dialogues: Sequence[Dialogue],
        decoding: Decoding,
        *,
        cancelled: Callable[[int], bool] | None = None,
    ) -> Iterator[Piece]:
        """All of a batch, a word a step, the steps spread over the time that a batch takes."""

        def waits(place: int) -> bool:
            return cancelled is None or not cancelled(place)

        started = time.monotonic()
        predictions = [self._prediction(one, decoding.max_new_tokens) for one in dialogues]
        texts = [_words(prediction.text) for prediction in predictions]
        steps = max((len(words) for words in texts), default=0)
        for step in range(steps):
            until = started + self._seconds * (step + 1) / steps
            while (rest := until - time.monotonic()) > 0:
                if not any(waits(place) for place in range(len(texts))):
                    return
                time.sleep(min(STEP_SECONDS, rest))
            for place, words in enumerate(texts):
                if step < len(words) and waits(place):
                    yield place, words[step]
        share = round((time.monotonic() - started) / max(1, len(texts)), 4)
        for place, prediction in enumerate(predictions):
            usage = Usage(len(prediction.question.split()), 0, len(texts[place]), share)
            yield place, replace(prediction, usage=usage)

    def _prediction(self, dialogue: Dialogue, limit: int) -> Prediction:
        prediction = None if self._saved is None else self._saved.find(dialogue)
        if prediction is None:
            echo = Answer(text=f"You asked: {plain(dialogue.question.text)}")
            confidence = Confidence(0.5, "none: an echo")
            prediction = Prediction.of(dialogue, echo, confidence=confidence)
        words = _words(prediction.text)
        if len(words) <= limit:
            return replace(prediction, finish="stop")
        text = "".join(words[:limit]).strip()
        return replace(prediction, answer=replace(prediction.answer, text=text), finish="length")


def rehearsal_host(source: str, *, seconds: float) -> ModelHost:
    """What is behind ``--replay``: a file of predictions, a run's folder, or ``echo``."""
    path = None if source == "echo" else Path(source)
    saved = None if path is None else SavedAnswers.read(path, any_picture=True)
    folder = None if path is None else path if path.is_dir() else path.parent
    about = {
        "model": "echo" if folder is None else f"replay of {folder.resolve().name}",
        "engine": "replay",
        "revision": None,
        "weights_sha256": None,
        "adapter_sha256": None,
        "recipe": None,
        "preprocessing": None,
        "software": software(),
    }
    return ModelHost(Rehearsal(saved, seconds=seconds), about)


def _words(text: str) -> list[str]:
    """A text in words, each with the blanks before it; no words are one empty one."""
    return re.findall(r"\s*\S+", text) or [""]
