"""Pairs that frame a picture: modality, contrast, plane, and the part of the body."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from vesalius.data.visual_dialogue.facts import Facts, Pair
from vesalius.data.visual_dialogue.order import step_of
from vesalius.data.visual_dialogue.words import first_of, matches
from vesalius.language.questions import bare

_VIEW = re.compile(r"(?:an? )?(?:image|study|view|picture|x-?ray|ct|mri) of (.+)", re.IGNORECASE)
_FRAME = re.compile(
    r"\b(?:ct|mri?|x-? ?ray|cxr|ultrasound|film|image|scan|view|section|cut|plane)$", re.IGNORECASE
)
_JUDGED = re.compile(r"\b(?:normal|typical|healthy|good|adequate)\b", re.IGNORECASE)


def _modality(pair: Pair, facts: Facts) -> bool:
    if facts.frame(pair.answer) or pair.yes is not None:
        return pair.yes is None
    if first_of("planes", pair.answer):  # "how was this film taken?" "PA"
        return _plane(pair, facts)
    if facts.noun or len(pair.answer.split()) > 4:
        return False
    facts.noun = pair.answer
    return True


def _plane(pair: Pair, facts: Facts) -> bool:
    plane = first_of("planes", pair.answer)
    if facts.plane and plane != facts.plane:
        return False
    facts.plane = plane
    return bool(plane)


def _organ(pair: Pair, facts: Facts) -> bool:
    return pair.yes is None and _of_organ(pair.answer, facts)


def _of_organ(organ: str, facts: Facts) -> bool:
    organ = re.sub(r"^(?:the|an?) ", "", organ)
    system = "system" if matches("system", organ) else ""
    systems = f"{system}s" if system and " and " in organ else system
    named = f"the {organ} {systems}".strip()
    if " and " not in named:
        named = re.sub(r",\s*([^,]+)$", r" and \1", named)
    same = not facts.organ or facts.organ == named
    facts.organ = facts.organ or named
    return same


def _contrast(pair: Pair, facts: Facts) -> bool:
    if pair.yes is None:
        return False
    word = " ".join(part for part in (pair.part("agent"), "contrast") if part)
    phrase = f"{'with' if pair.yes else 'without'} {word}"
    if facts.after and facts.after != phrase:
        return False
    facts.after = phrase
    return True


def _contrast_is(pair: Pair, facts: Facts) -> bool:
    kind = f"{pair.part('word')} {pair.part('device')}"
    if pair.yes:
        return facts.frame(kind)
    if pair.yes is False:
        facts.denied.append(f"a {kind}")
    return pair.yes is False


def _contrast_kind(pair: Pair, facts: Facts) -> bool:
    return pair.yes is None and facts.frame(pair.answer)


def _is_this(pair: Pair, facts: Facts) -> bool:
    word, named = pair.part("word"), bare(pair.part("word"))
    if pair.yes is None or re.search(r"\blevel\b", word):
        return False
    organ = _organ_in(pair, word)
    framed = named is not None or (not organ and bool(_FRAME.search(word)))
    if not pair.yes:
        if framed or organ:
            facts.denied.append(f"of {organ}" if organ else word)
            return True
        return not _JUDGED.search(word) and facts.shows(word, yes=False)
    if organ:
        facts.plane = facts.plane or first_of("planes", word)
        return _of_organ(organ, facts)
    if framed:
        facts.plane = facts.plane or first_of("planes", word)
        return facts.frame(word) or bool(facts.plane)
    return facts.shows(word, yes=True)


def _organ_in(pair: Pair, word: str) -> str:
    """The part of the body that "is this ...?" asks about; empty where it asks something else."""
    viewed = _VIEW.search(word)
    if viewed:
        return viewed[1]
    if pair.read.part("of"):
        return word
    return word if word.startswith("the ") and step_of(pair.question) == "organ" else ""


FRAMING: Mapping[str, Callable[[Pair, Facts], bool]] = {
    "modality": _modality,
    "plane": _plane,
    "organ": _organ,
    "contrast": _contrast,
    "contrast_is": _contrast_is,
    "contrast_kind": _contrast_kind,
    "is_this": _is_this,
}
"""By the form of the question: notes what the pair says, or returns False."""
