"""Chat rows as people and programs write them, as exchanges of a question and its reply.

Read are turns with a speaker (LLaVA's ``conversations``, OpenAI's and TRL's ``messages``), turns
that are pairs (XTuner's), and rows that are one exchange (Swift's ``query`` and ``response``,
Alpaca's ``instruction``, ``input``, ``output``, TRL's ``prompt`` and ``completion``) with earlier
ones in ``history``. What is none of these is refused with its row and turn, never left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vesalius.cases.case import Source
from vesalius.data.reading.record import Record, answer_text
from vesalius.data.reading.rows import Cell, Row, listed, none_if_nan
from vesalius.data.reading.stored import name_or_cell
from vesalius.errors import DatasetError

PLACEHOLDER = "<image>"
MARK = re.compile(re.escape(PLACEHOLDER), re.IGNORECASE)
LISTS = ("conversations", "messages", "conversation", "converstions", "convesations",
         "conversatons", "message", "mesages", "messsages", "dialogue", "dialog")  # fmt: skip
"""Fields that hold turns, the usual ones first."""
ASKING = ("query", "instruction", "prompt")
REPLYING = ("response", "output", "completion", "answer")
CHAT = tuple(dict.fromkeys((*LISTS, *ASKING, *REPLYING, "input", "system", "history", "rejected")))
"""Fields that a chat row may have beside those of any row."""
ROLES = ("from", "role", "speaker")
CONTENTS = ("value", "content", "text")
SPEAKERS = {
    "ask": ("human", "user", "usr", "instruction", "question"),
    "reply": ("gpt", "assistant", "bot", "model", "chatgpt", "gpt4", "gpt-4", "ai", "chatbot"),
    "system": ("system", "developer"),
    "tool": ("tool", "function", "observation", "function_call", "function-call", "tool_call",
             "tool_response", "function_response", "ipython", "tool_result", "environment"),
}  # fmt: skip
ROLE_OF = {name: role for role, names in SPEAKERS.items() for name in names}
PAIRS = (("input", "output"), ("question", "answer"), ("user", "assistant"), ("human", "gpt"))
"""Keys of a turn that is a question with its reply."""
Named = str | Cell


@dataclass(frozen=True, slots=True)
class Message:
    """What one speaker says, and the pictures in it: None for the row's next one, else named."""

    role: str
    text: str
    pictures: tuple[Named | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question, the pictures shown with it, and its reply; None where nobody replied."""

    question: Message
    reply: str | None


@dataclass(frozen=True, slots=True)
class Chat:
    """A row's exchanges, and what its system turn says."""

    exchanges: tuple[Exchange, ...]
    system: str | None = None


def is_chat(row: Row) -> bool:
    """Whether a row holds turns, or one exchange in the fields of a chat."""
    if _has(row, "questions") or _turns_field(row) is not None:
        return not _has(row, "questions")
    asks = any(_has(row, name) for name in ASKING) and not _has(row, "question")
    return asks and any(name in row for name in REPLYING)


def _turns_field(row: Row) -> str | None:
    """The field that holds turns; text in a column called like one is none, but for the usual."""
    for name in LISTS:
        value = _value(row, name)
        if _has(row, name) and (
            name in LISTS[:2] or isinstance(value, list | dict) or str(value).startswith("[")
        ):
            return name
    return None


def chat_in(record: Record, where: Source) -> Chat:
    """The row's chat; DatasetError names the row, and the turn that is not understood."""
    turns = _turns_field(record)
    if turns is not None:
        messages = list(_messages(record, record.get(turns), turns, where))
    else:
        messages = list(_one_exchange(record, where))
    first = next((at for at, m in enumerate(messages) if m.role != "system"), len(messages))
    system, rest = messages[:first], messages[first:]
    if _has(record, "system"):
        system.insert(0, _message("system", record.get("system"), record, where, "system"))
    if any(m.role == "system" for m in rest):
        hint = "put it before the first question"
        raise DatasetError("a system turn stands between other turns", where=where, hint=hint)
    if any(m.pictures for m in system):
        hint = "show it in a question"
        raise DatasetError("a system turn shows a picture", where=where, hint=hint)
    words = "\n".join(m.text for m in system if m.text)
    return Chat(tuple(_exchanges(rest, where)), words or None)


def without_marks(text: str) -> tuple[str, int]:
    """A text without its ``<image>`` marks, and how many there were."""
    return MARK.sub("", text).strip(), len(MARK.findall(text))


def _has(row: Row, name: str) -> bool:
    value = _value(row, name)
    return value is not None and not (isinstance(value, str | list | dict) and not value)


def _value(row: Row, name: str) -> Any:
    return row.peek(name) if isinstance(row, Record) else none_if_nan(row.get(name))


def _one_exchange(record: Record, where: Source) -> Iterator[Message]:
    history = record.peek("history")
    if isinstance(history, list) or (
        isinstance(history, str) and history.lstrip().startswith("[[")
    ):
        for number, pair in enumerate(listed(record.get("history"), "history", where) or [], 1):
            if not isinstance(pair, list) or len(pair) != 2:
                fault = f"history {number} is no pair of a question and its reply"
                raise DatasetError(fault, where=where)
            yield _message("ask", pair[0], record, where, f"history {number}")
            yield _message("reply", pair[1], record, where, f"history {number}")
    asking = next(name for name in ASKING if _has(record, name))
    yield from _side(record, asking, "ask", where)
    if _has(record, "input"):
        yield _message("ask", record.get("input"), record, where, "input")
    replying = next((name for name in REPLYING if _has(record, name)), None)
    if replying is not None:
        yield from _side(record, replying, "reply", where)


def _side(record: Record, name: str, role: str, where: Source) -> Iterator[Message]:
    """One side of an exchange: a text, or messages as TRL's conversational sets have them."""
    value = record.get(name)
    if isinstance(value, list) and any(isinstance(v, dict) and _key(v, ROLES) for v in value):
        yield from _messages(record, value, name, where)
    else:
        yield _message(role, value, record, where, name)


def _messages(record: Record, value: Any, name: str, where: Source) -> Iterator[Message]:
    for number, turn in enumerate(_turns(value, name, where), start=1):
        place = f"turn {number}"
        each = record.part(turn, name, where, (*ROLES, *CONTENTS))
        pair = next(((a, r) for a, r in PAIRS if a in each and not _key(each, ROLES)), None)
        if pair is not None:
            if _has(each, "system"):
                yield _message("system", each.get("system"), record, where, place)
            yield _message("ask", each.get(pair[0]), record, where, place)
            if _has(each, pair[1]):
                yield _message("reply", each.get(pair[1]), record, where, place)
            continue
        role, content = _key(each, ROLES), _key(each, CONTENTS)
        speaker = ROLE_OF.get(str(each.get(role)).strip().lower()) if role else None
        if speaker is None:
            fault = (
                f"{place} has a speaker that is not known" if role else f"{place} has no speaker"
            )
            hint = "from (or role) is human or user, gpt or assistant, or system"
            raise DatasetError(fault, where=where, hint=hint)
        if speaker == "tool" or _has(each, "tool_calls"):
            hint = "leave tool turns out of the row: no model here calls tools"
            raise DatasetError(f"{place} is a tool's", where=where, hint=hint)
        if content is None:
            fault = f"{place} has no {', '.join(CONTENTS[:-1])} or {CONTENTS[-1]}"
            raise DatasetError(fault, where=where)
        yield _message(speaker, each.get(content), record, where, place)


def _turns(value: Any, name: str, where: Source) -> list[Any]:
    """A list of turns; columns of turns, as hub sets store them, are made one."""
    if isinstance(value, dict):
        columns = list(value.values())
        if not columns or not all(
            isinstance(c, list) and len(c) == len(columns[0]) for c in columns
        ):
            raise DatasetError(f"{name} is not a list of turns", where=where)
        return [dict(zip(value, turn, strict=True)) for turn in zip(*columns, strict=True)]
    return listed(value, name, where) or []


def _key(turn: Row, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in turn), None)


def _message(role: str, content: Any, record: Record, where: Source, place: str) -> Message:
    texts: list[str] = []
    pictures: list[Named | None] = []
    for part in content if isinstance(content, list) else [content]:
        text, named = _part(part, record, where, place)
        if text is not None:
            words, marks = without_marks(text)
            texts += [words] if words else []
            pictures += [None] * marks
        pictures += named
    if role == "reply" and pictures:
        fault = f"{place}: a reply shows a picture"
        raise DatasetError(fault, where=where, hint=f"{PLACEHOLDER} belongs into a question")
    return Message(role, "\n".join(texts), tuple(pictures))


def _part(
    part: Any, record: Record, where: Source, place: str
) -> tuple[str | None, list[Named | None]]:
    """The text and the pictures of a part of a message: a string, or a mapping with a type."""
    if part is None:
        return None, []
    if not isinstance(part, dict):
        if isinstance(part, list | Cell):
            raise DatasetError(f"{place}: its content is no text", where=where)
        return answer_text(record, part), []
    each = record.part(part, "content", where)
    kind = str(each.get("type") or ("text" if _has(each, "text") else "")).lower()
    if kind in ("text", "input_text", "output_text"):
        return str(each.get("text") or ""), []
    if kind in ("image", "image_url", "input_image", "image_path"):
        return None, [_picture(each, where, place)]
    fault = f"{place}: a part that is neither text nor a picture"
    raise DatasetError(fault, where=where, hint="its type is text, image or image_url")


def _picture(part: Record, where: Source, place: str) -> Named | None:
    """What a picture's part names; None where it only marks the row's next picture."""
    for key in ("image", "image_url", "url", "path", "image_path"):
        value = part.peek(key)
        if value is None:
            continue
        part.get(key)
        if isinstance(value, dict) and "url" in value:
            value = part.part(value, key, where).get("url")
        value = name_or_cell(value, where)
        if not isinstance(value, str):
            return value
        name = value.removeprefix("file://")
        if re.match(r"(?i)(https?|s3|gs)://", name):
            hint = "download it and name the file"
            raise DatasetError(
                f"{place}: a picture on a server is not fetched", where=where, hint=hint
            )
        return name
    return None


def _exchanges(messages: Sequence[Message], where: Source) -> Iterator[Exchange]:
    """Questions with their replies; None for the last one's where nobody replied."""
    waiting: Message | None = None
    for message in messages:
        if message.role == "ask":
            waiting = message if waiting is None else _joined(waiting, message)
        elif waiting is None:
            fault = "a turn of 'gpt' where it is not the turn's"
            raise DatasetError(fault, where=where, hint="human and gpt take turns")
        else:
            yield Exchange(waiting, message.text)
            waiting = None
    if waiting is not None:
        yield Exchange(waiting, None)


def _joined(first: Message, second: Message) -> Message:
    text = "\n".join(text for text in (first.text, second.text) if text)
    return replace(first, text=text, pictures=(*first.pictures, *second.pictures))
