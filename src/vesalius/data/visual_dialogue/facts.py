"""What pairs of question and answer say of a picture, gathered for one summary."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from vesalius.cases.case import Question
from vesalius.data.visual_dialogue.words import ARTICLE, all_of, first_of, is_are, tidy
from vesalius.language.questions import ParsedQuestion, bare_noun, polarity

_DEFINITE = re.compile(r"(?:the|this|these|those|both|all)\b", re.IGNORECASE)


@dataclass
class Facts:
    """The facts of one picture: its frame, what is there and is not, and what is said of things.

    ``about`` maps a subject to (verb, rest) pairs; ``present`` maps a bare noun to its wording.
    """

    noun: str = ""
    granted: str = ""
    before: list[str] = field(default_factory=list)
    after: str = ""
    plane: str = ""
    organ: str = ""
    denied: list[str] = field(default_factory=list)
    present: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    abnormal: bool | None = None
    about: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def say(self, subject: str, verb: str, rest: str) -> bool:
        """Note what is said of a subject."""
        statements = self.about.setdefault(
            re.sub(r"^(?:this|these|those)\b", "the", tidy(subject)), []
        )
        if (verb, rest) not in statements:
            statements.append((verb, rest))
        return True

    def shows(self, thing: str, *, yes: bool) -> bool:
        """Note that a thing is there or is not."""
        thing = re.sub(r"^(?:any|some) ", "", tidy(thing))
        if re.match(r"(?:any|some)thing\b", thing):
            return False
        if _DEFINITE.match(thing):
            be = is_are(thing)
            return self.say(thing, be if yes else f"{be} not", "visible")
        if yes:
            self.present.setdefault(bare_noun(thing), thing)
        else:
            self.absent.setdefault(bare_noun(thing), ARTICLE.sub("", thing))
        return True

    def frame(self, text: str) -> bool:
        """Note what a text says of modality, sequence and contrast."""
        noun, before, after = (
            first_of("nouns", text),
            all_of("before", text),
            first_of("after", text),
        )
        if not (noun or before or after):
            return False
        self.noun = self.noun or noun
        self.before += [word for word in before if word not in self.before]
        self.after = self.after or after
        return True


@dataclass(frozen=True, slots=True)
class Pair:
    """A question as read, and its answer made fit for a sentence."""

    question: Question
    read: ParsedQuestion
    answer: str

    @property
    def yes(self) -> bool | None:
        """Whether the answer says yes; None where it says neither yes nor no, or both."""
        verdict = polarity(self.answer)
        return None if verdict is None else verdict == "yes"

    def part(self, name: str) -> str:
        """A piece of the question, made fit for a sentence; empty where it has none."""
        return tidy(self.read.part(name))
