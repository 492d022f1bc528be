"""One template renders training, evaluation and serving, so their prompts cannot drift apart.

A dialogue becomes a *head*, everything up to and including the last picture's placeholder, and a
*tail*, the rest. Dialogues about the same picture share the head; the tail says which of its
characters bear loss: each reply together with the end token that follows it, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError, Unshowable
from vesalius.models.codecs import AnswerCodec, TextCodec, written

# Private-use characters stand for people's words while the chat template runs, so that the spans
# of replies are known exactly whatever the template does around them.
_MARK = re.compile("\ue000(\\d+)\ue001")
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% for part in message.content %}{% if part.type == 'image' %}{{ '<image>\n' }}"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of rendered text: ``words`` are people's, the rest is the template's."""

    text: str
    words: bool
    loss: bool


@dataclass(frozen=True, slots=True)
class Rendered:
    """A dialogue in spans: the head (nothing without pictures), and the tail."""

    front: tuple[Span, ...]
    tail: tuple[Span, ...]

    @property
    def head(self) -> str:
        """The head as one string."""
        return "".join(span.text for span in self.front)

    @property
    def text(self) -> str:
        """The whole prompt as one string."""
        return self.head + "".join(span.text for span in self.tail)


class Template:
    """A model's own chat template, its image placeholder and the token that ends a reply.

    ``renderer`` is a tokenizer or processor with ``apply_chat_template``. A template that writes no
    end token after a reply (LLaVA-1.5's) gets ``end`` there: without it a tuned model never stops.
    ``codec`` writes the replies.
    """

    def __init__(
        self, renderer: Any, *, image: str, end: str, codec: AnswerCodec | None = None
    ) -> None:
        self._renderer, self._image, self._end = renderer, image, end
        self.codec: AnswerCodec = codec or TextCodec()

    def render(self, dialogue: Dialogue) -> Rendered:
        """The dialogue as the model reads it; an open last turn ends where the reply begins."""
        words: list[str] = []
        dialogue = written(dialogue, self.codec)
        messages = _messages(dialogue, words)
        opened = dialogue.turns[-1].reply is None
        text = self._apply(messages, prompt=opened, dialogue=dialogue)
        self._require_order(dialogue, text)
        starts = self._reply_starts(dialogue, messages, text)
        return self._split(text, words, starts, opened=opened)

    def _apply(self, messages: list[dict[str, Any]], *, prompt: bool, dialogue: Dialogue) -> str:
        try:
            text: str = self._renderer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=prompt
            )
        except TemplateError as error:
            later = any(turn.pictures for turn in dialogue.turns[1:])
            what = f"the chat template refuses it: {error}"
            raise (Unshowable if later else ModelError)(what, where=dialogue.id) from error
        return text

    def _require_order(self, dialogue: Dialogue, text: str) -> None:
        """Unshowable unless each picture's placeholder stands in the turn that shows it.

        ModelError where what the system turn says is not there at all.
        """
        places = {int(mark[1]): mark.start() for mark in _MARK.finditer(text)}
        before = 0 if dialogue.system is None else 1  # the system's words are a mark, too
        if before and 0 not in places:
            what = "the chat template leaves the system turn out"
            hint = "set model.chat_template to one that writes it, or leave it out of the data"
            raise ModelError(what, where=dialogue.id, hint=hint)
        shows = 0
        for number, turn in enumerate(dialogue.turns):
            shows += len(turn.pictures)
            reply = before + 2 * number + 1  # each turn before it has a question and a reply
            end = places.get(reply, len(text))
            if text.count(self._image, 0, end) != shows:
                what = f"the chat template does not write the pictures of turn {number + 1} there"
                hint = "set model.chat_template to one that does"
                raise Unshowable(what, where=dialogue.id, hint=hint)

    def _reply_starts(
        self, dialogue: Dialogue, messages: list[dict[str, Any]], text: str
    ) -> dict[int, int]:
        """For each reply's mark number, where in ``text`` the prompt that it answers ends."""
        starts = {}
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = self._apply(messages[:index], prompt=True, dialogue=dialogue)
            if not text.startswith(prompt):
                raise ModelError(
                    "the chat template renders a prompt differently once it is answered",
                    where=dialogue.id,
                    hint="training would not see what serving sends; use another template",
                )
            mark = _MARK.search(message["content"][0]["text"])
            assert mark is not None
            starts[int(mark[1])] = len(prompt)
        return starts

    def _split(
        self, text: str, words: list[str], starts: Mapping[int, int], *, opened: bool
    ) -> Rendered:
        spans: list[Span] = []
        at = 0
        for mark in _MARK.finditer(text):
            number = int(mark[1])
            start = starts.get(number)
            if start is None:
                spans += [Span(text[at : mark.start()], False, False)]
                spans += [Span(words[number], True, False)]
                at = mark.end()
                continue
            stop = self._end_of_reply(text, mark.end())
            spans += [
                Span(text[at:start], False, False),
                Span(text[start : mark.start()], False, True),
                Span(words[number], True, True),
                Span(text[mark.end() : stop] or self._end, False, True),
            ]
            at = stop
        spans.append(Span(text[at:], False, False))
        # What a template writes after the last end token (a line break) is never generated; what it
        # writes after an open question belongs to the prompt.
        while spans and not opened and not spans[-1].loss and not spans[-1].text.strip():
            spans.pop()
        return self._cut_head([span for span in spans if span.text])

    def _end_of_reply(self, text: str, at: int) -> int:
        """Where the end token that the template wrote at ``at`` stops; ``at`` if it wrote none."""
        match = re.compile(r"\s*" + re.escape(self._end)).match(text, at)
        return match.end() if match else at

    def _cut_head(self, spans: list[Span]) -> Rendered:
        for index in range(len(spans) - 1, -1, -1):
            span = spans[index]
            cut = -1 if span.words else span.text.rfind(self._image)
            if cut < 0:
                continue
            cut += len(self._image)
            front = (*spans[:index], Span(span.text[:cut], False, span.loss))
            rest = [Span(span.text[cut:], False, span.loss)] if span.text[cut:] else []
            return Rendered(front, (*rest, *spans[index + 1 :]))
        return Rendered((), tuple(spans))


def _messages(dialogue: Dialogue, words: list[str]) -> list[dict[str, Any]]:
    """The chat messages of a dialogue; every human text is a mark, its words kept in ``words``."""

    def mark(text: str) -> dict[str, str]:
        words.append(_MARK.sub("", text.strip()))
        return {"type": "text", "text": f"\ue000{len(words) - 1}\ue001"}

    context = "".join(f"{name.capitalize()}: {value}\n" for name, value in dialogue.context.items())
    messages: list[dict[str, Any]] = []
    if dialogue.system is not None:
        messages.append({"role": "system", "content": [mark(dialogue.system)]})
    for index, turn in enumerate(dialogue.turns):
        # Blanks carry no meaning but can carry the answer: in VQA-Med 2019 a stray tab in a
        # question tells yes from no.
        question = " ".join(turn.question.text.split())
        prompt = (context if index == dialogue.examples else "") + question
        pictures = [{"type": "image"} for _ in turn.pictures]
        messages.append({"role": "user", "content": [*pictures, mark(prompt)]})
        if turn.reply is not None:
            messages.append({"role": "assistant", "content": [mark(turn.reply.text or "")]})
    return messages


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
