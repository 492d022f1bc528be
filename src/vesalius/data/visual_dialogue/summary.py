"""One or two sentences that say what pairs of question and answer say, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vesalius.cases.case import Question
from vesalius.data.visual_dialogue.consistent import answer_of
from vesalius.data.visual_dialogue.facts import Facts, Pair
from vesalius.data.visual_dialogue.finding import FINDING
from vesalius.data.visual_dialogue.framing import FRAMING
from vesalius.data.visual_dialogue.words import (
    ARTICLE,
    first_of,
    is_are,
    listed,
    matches,
    started,
    tidy,
    unique,
    wording,
)
from vesalius.language.questions import bare_noun, parse_question

LONGEST = 24
"""Words of an answer that fits into a sentence; a longer one stays in its turn."""
_FORMS = {**FRAMING, **FINDING}
_SINGULAR = {"are": "is", "are not": "is not", "were": "was", "were not": "was not"}


@dataclass(frozen=True, slots=True)
class Summary:
    """The sentences, and how many of the pairs they word; empty text where none can be."""

    text: str
    worded: int
    pairs: int


def summarise(questions: Sequence[Question]) -> Summary:
    """The summary of pairs in the order they are given, the same whenever it is made.

    The first sentence frames the picture (plane, modality, organ), the second says what it shows,
    what it does not, and what is said of things. A pair that no rule can word is left to its turn.
    """
    facts = Facts()
    worded = sum(_gather(question, facts) for question in questions)
    frame = _frame(facts)
    rest = _findings(facts, "it" if frame else "the image")
    return Summary(" ".join(part for part in (frame, rest) if part), worded, len(questions))


def _gather(question: Question, facts: Facts) -> bool:
    """Add what the pair says to the facts; False where it cannot be worded and stays in its turn.

    Only English pairs are read.
    """
    answer = tidy(answer_of(question))
    granted = wording()["granted"].search(question.text)
    read = parse_question(question.text)
    if not question.language.startswith("en") or read is None:
        return False
    if granted and read.form not in {"is_this", "normality"}:
        facts.granted = facts.granted or first_of("nouns", granted[1])
    if matches("unsure", answer) or len(answer.split()) > LONGEST:
        return False
    word = _FORMS.get(read.form)
    return word is not None and word(Pair(question, read, answer), facts)


def _frame(facts: Facts) -> str:
    noun = facts.noun or facts.granted
    before = [word for word in facts.before if word not in noun]
    # "MRI ADC map" and "T1-weighted" say MRI each; the first noun heard stands.
    words = [facts.plane, *before, noun or "image"]
    words += [f"of {facts.organ}"] if facts.organ else []
    words += [facts.after] if facts.after and "non-contrast" not in before else []
    if words == ["", "image"] and not facts.denied:
        return ""
    denied = [
        word for word in unique(facts.denied) if not (facts.organ if word[:3] == "of " else noun)
    ]
    nots = "".join(f", not {word}" for word in denied)
    if words == ["", "image"] and not nots:
        return ""
    return started(" ".join(word for word in words if word) + nots)


def _findings(facts: Facts, picture: str) -> str:
    present, absent = list(facts.present.values()), [f"no {x}" for x in facts.absent.values()]
    if facts.abnormal and not present:
        present.append("an abnormality")
    if facts.abnormal is False:
        absent.append("no abnormality")
    findings = listed(present)
    if absent:
        findings += f"{', but ' if findings else ''}{listed(absent)}"
    clauses = [f"{picture} shows {findings}"] if findings else []
    clauses += [_clause(subject, statements, facts) for subject, statements in facts.about.items()]
    return started("; ".join(clauses)) if clauses else ""


def _clause(subject: str, statements: Sequence[tuple[str, str]], facts: Facts) -> str:
    subject = ARTICLE.sub("the ", subject)
    single = bare_noun(subject)
    if facts.present.get(single, "").startswith("one ") and is_are(subject) == "are":
        subject, statements = (
            f"the {single}",
            [(_SINGULAR.get(verb, verb), rest) for verb, rest in statements],
        )
    phrases = [
        f"{verb} {rest}".strip() for verb, rest in statements if not _within(verb, rest, statements)
    ]
    return f"{subject} {listed(phrases)}"


def _within(verb: str, rest: str, statements: Sequence[tuple[str, str]]) -> bool:
    """Whether another thing said says this too: "homogenous" beside "homogenous and normal"."""
    return any(v == verb and r != rest and rest in r.split(" and ") for v, r in statements)
