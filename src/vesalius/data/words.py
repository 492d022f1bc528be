"""What the check has to say of words: empty ones, marks of missing values, whole sets without."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from vesalius.cases.case import Case, Question, Remark
from vesalius.data.findings import Finding, finding
from vesalius.data.reading.missing import is_missing
from vesalius.language.script import is_blank

BOOLEANS = ("True", "False", "TRUE", "FALSE")
"""As Python and spreadsheets write what was no word."""
OTHER_MARK = re.compile(
    r"<(?:img|im_patch|image[ _-]?\d+|imagehere|\|image(?:_pad|_\d+)?\|)>|\[(?:img|image)\d*\]",
    re.IGNORECASE,
)
"""Marks of pictures that other programs write; ours is ``<image>``."""
DAMAGED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]")
"""Controls that no text has, and what decoders put for bytes they cannot read."""
GARBLED = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2(?:\u20ac|\u0080)")
"""What UTF-8's accents, degrees and dashes become where they were read as Western Windows text."""
MARKUP = re.compile(
    r"&(?:[a-z]{2,8}|#\d{1,6}|#x[\da-f]{1,6});"
    r"|</?(?:a|b|i|u|p|br|hr|em|li|ol|ul|td|tr|div|sub|sup|font|span|table|strong)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
"""Entities and tags of HTML, as record systems export them."""
NUMBERED = re.compile(r"[^\W\d_]*[-_ ]?\d+")


def words(case: Case, where: str) -> Iterator[Finding]:
    """The findings on a case's caption and questions."""
    if case.caption is not None and is_blank(case.caption):
        yield finding("empty_caption", where, f"{case.id} has an empty caption")
    elif case.caption is not None and is_missing(case.caption):
        yield finding("na_caption", where, f"the caption is {case.caption.strip()!r}")
    yield from _signs("the caption", (case.caption or "",), where)
    replies: dict[tuple[str, str], str] = {}
    for question in case.questions:
        yield from _question(question, f"{where}, question {question.id}", replies)
    if not _has_content(case):
        yield finding("no_content", where, f"{case.id}: nothing is said of it")


def _question(
    question: Question, place: str, replies: dict[tuple[str, str], str]
) -> Iterator[Finding]:
    if is_blank(question.text):
        yield finding("empty_question", place, "the question is empty")
    elif is_missing(question.text):
        yield finding("na_question", place, f"the question is {question.text.strip()!r}")
    if OTHER_MARK.search(question.text):
        yield finding("other_mark", place, "a mark that is not <image>")
    texts = [(answer.text or "").strip() for answer in question.answers]
    yield from _signs("question or answer", (question.text, *texts), place)
    if not texts or any(map(is_blank, texts)):
        yield finding("empty_answer", place, f"no answer to {question.text[:60]!r}")
        return
    yield from _answers(texts, place)
    key, answer = (question.text.lower(), question.language), question.answers[0].text or ""
    if key in replies:
        same = replies[key].lower() == answer.lower()
        again = "again" if same else f"again, and was answered {replies[key]!r}"
        yield finding("duplicate_question", place, f"{question.text[:60]!r} is asked {again}")
    replies.setdefault(key, answer)


def _signs(what: str, texts: tuple[str, ...], place: str) -> Iterator[Finding]:
    """The findings on signs that were no words where the texts came from."""
    if any(map(DAMAGED.search, texts)):
        yield finding("damaged_text", place, f"{what} holds signs that no text has")
    if any(map(GARBLED.search, texts)):
        yield finding("damaged_text", place, f"{what} holds letters of another encoding")
    if any(map(MARKUP.search, texts)):
        yield finding("markup", place, f"{what} holds HTML")


def _answers(texts: list[str], place: str) -> Iterator[Finding]:
    for text in texts:
        # "none" is what an expert may say of findings; None is what a program writes.
        if is_missing(text) and text not in ("none", "nil"):
            yield finding("na_answer", place, f"the answer is {text!r}")
        elif text in BOOLEANS:
            yield finding("boolean_word", place, f"the answer is {text!r}")


def _has_content(case: Case) -> bool:
    return not (
        case.caption is None and not case.questions and case.boxes is None and not case.concepts
    )


class WholeSet:
    """What only shows over all cases: whether any has words, and names that patients share."""

    def __init__(self) -> None:
        self._any_content = False
        self._unread: dict[Remark, str] = {}
        # What the names of pictures begin with -> how many, and where the first is.
        self._beginnings: dict[str, defaultdict[str, int]] = {
            kind: defaultdict(int) for kind in ("folder", "name")
        }
        self._first = ""

    def add(self, case: Case, where: str) -> None:
        """Note a case."""
        self._any_content = self._any_content or _has_content(case)
        for remark in case.remarks:
            if remark.code in ("unread_column", "unread_patient"):
                self._unread.setdefault(remark, where)
        key = PurePosixPath(case.pictures[0].key) if len(case.pictures) == 1 else None
        if key is not None and case.group in (str(key), key.stem, str(key.with_suffix(""))):
            self._first = self._first or where
            for kind, beginning in _beginnings(key).items():
                self._beginnings[kind][beginning] += 1

    def findings(self) -> Iterator[Finding]:
        """What is to be told of the whole set."""
        if self._unread and not self._any_content:
            where = next(iter(self._unread.values()))
            named = "; ".join(remark.what for remark in self._unread)
            yield finding("no_words", where, f"no row has words we read: {named}")
        for kind, counts in self._beginnings.items():
            pictures = sum(counts.values())
            if 1 < len(counts) < pictures:
                shared = "numbered folders" if kind == "folder" else "numbered beginnings of names"
                what = f"{pictures} pictures without a patient have {len(counts)} {shared}"
                yield finding("patient_in_names", self._first, f"{what}, one a patient?")
                return


def _beginnings(path: PurePosixPath) -> dict[str, str]:
    """A picture's folder, if one above it is numbered, and what its name begins with, likewise."""
    folder = path.parent.as_posix()
    in_numbered = any(NUMBERED.fullmatch(part) for part in path.parts[:-1])
    name = re.match(r"([^\W\d_]*-?\d+)[_\- .]", path.stem)
    folders = {"folder": folder} if in_numbered else {}
    return folders | ({"name": name[1]} if name else {})
