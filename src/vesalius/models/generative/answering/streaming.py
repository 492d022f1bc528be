"""What is said while it is being said: tokens as text, who still listens, how sure each row is."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from transformers import LogitsProcessor, StoppingCriteria

from vesalius.models import Piece

WAITING = 256
"""Pieces that may wait for whoever iterates before generation waits, too."""


class Listener(Protocol):
    """Who is told of a batch's rows as they are written, by place in the batch."""

    def spend(self, places: Sequence[int]) -> None:
        """A step was made for the rows at these places."""

    def write(self, place: int, tokens: Sequence[int], sure: float | None) -> None:
        """A row's tokens so far; ``sure``, its confidence, once it has ended and not before."""

    def is_cancelled(self, place: int) -> bool:
        """Whether nobody waits for the row any more."""


class Recorder(LogitsProcessor):
    """Keeps the log-probability of each chosen token; one step's logits in memory at a time."""

    def __init__(self) -> None:
        self._last: torch.Tensor | None = None
        self._chosen: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Take the model's own probabilities, before any sampling changes them."""
        self.close(input_ids[:, -1])
        self._last = torch.log_softmax(scores.float(), dim=-1)
        return scores

    def close(self, tokens: torch.Tensor) -> None:
        """Record what was chosen from the last step's distribution, unless that was done."""
        if self._last is not None:
            self._chosen.append(self._last.gather(1, tokens[:, None])[:, 0])
            self._last = None

    def confidence(self, index: int, length: int) -> float:
        """exp(mean log-probability) of the first ``length`` new tokens, the end token included."""
        chosen = torch.stack([step[index] for step in self._chosen[:length]])
        return float(chosen.mean().exp())


class StreamingCriteria(StoppingCriteria):
    """Tells a listener of each row after every step, and ends rows that nobody waits for.

    ``new``: each row's tokens, up to its end token. Of beams only the end is known, so there it
    stops when nobody waits for any row, and tells nothing.
    """

    def __init__(
        self,
        listener: Listener,
        recorder: Recorder | None,
        stops: Sequence[int],
        *,
        rows: int,
        most: int,
    ) -> None:
        self._listener, self._recorder = listener, recorder
        self._stops, self._most = frozenset(stops), most
        self.new: list[list[int]] = [[] for _ in range(rows)]
        self.ended = [False] * rows

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **_: Any) -> torch.BoolTensor:
        """Which rows are to stop here for want of a listener, bool (B,)."""
        rows = range(len(self.new))
        left = [self._listener.is_cancelled(place) for place in rows]
        if self._recorder is None:
            left = [all(left)] * input_ids.shape[0]
            return torch.tensor(left, device=input_ids.device)  # type: ignore[return-value]
        self._recorder.close(input_ids[:, -1])
        self._listener.spend([place for place in rows if not self.ended[place]])
        for place, token in enumerate(input_ids[:, -1].tolist()):
            if not (self.ended[place] or left[place]):
                self._take(place, token)
            self.ended[place] |= left[place]
        return torch.tensor(left, device=input_ids.device)  # type: ignore[return-value]

    def _take(self, place: int, token: int) -> None:
        assert self._recorder is not None
        tokens = self.new[place]
        tokens.append(token)
        self.ended[place] = token in self._stops or len(tokens) == self._most
        sure = self._recorder.confidence(place, len(tokens)) if self.ended[place] else None
        self._listener.write(place, tokens, sure)


class IncrementalDetokeniser:
    """A row's text as its tokens come: what is certain of it by now, each letter told once.

    Held back are blanks at the end, letters whose bytes are not all there, and, where the
    tokenizer tidies blanks before punctuation, the last two words.
    """

    def __init__(self, tokenizer: Any, words: Callable[[Sequence[int]], str] | None = None) -> None:
        self._words = words or partial(tokenizer.decode, skip_special_tokens=True)
        self._emitted = ""
        self._tidies = bool(getattr(tokenizer, "clean_up_tokenization_spaces", False))

    def so_far(self, tokens: Sequence[int]) -> str:
        """What is new and certain in the text of all tokens up to now; "" if nothing is."""
        text = self._text(tokens).rstrip("\ufffd").rstrip()
        if self._tidies:
            text = text[: max(0, text.rfind(" ", 0, max(0, text.rfind(" "))))]
        return self._new(text)

    def rest(self, tokens: Sequence[int]) -> str:
        """What is left when the row has ended."""
        return self._new(self._text(tokens).rstrip())

    def _new(self, text: str) -> str:
        if len(text) <= len(self._emitted) or not text.startswith(self._emitted):
            return ""
        piece, self._emitted = text[len(self._emitted) :], text
        return piece

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self._words(tokens)).lstrip()


class _End(Exception):
    """Nothing more comes."""


def iterated(
    work: Callable[[Callable[[Piece], None], Callable[[], bool]], None],
) -> Iterator[Piece]:
    """What ``work(tell, closed)`` tells, as an iterator; closing it lets the work end early.

    The work runs in a thread and waits where the pieces are not taken; what it raises is raised
    here. Closing returns when the work has ended.
    """
    pieces: queue.Queue[Piece | BaseException] = queue.Queue(WAITING)
    closed = threading.Event()

    def put(piece: Piece | BaseException) -> None:
        while not closed.is_set():
            try:
                pieces.put(piece, timeout=0.1)
            except queue.Full:
                continue
            return

    def run() -> None:
        try:
            work(put, closed.is_set)
        except BaseException as error:  # noqa: BLE001  # raised again where it is iterated
            put(error)
        else:
            put(_End())

    thread = threading.Thread(target=run, name="answering", daemon=True)
    thread.start()
    try:
        while True:
            piece = pieces.get()
            if isinstance(piece, _End):
                return
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        closed.set()
        thread.join()
