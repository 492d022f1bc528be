"""What a writer is told of a draft and its neighbours, and what is looked at in what it writes.

Source: the published synthesizer refines a draft caption in one sentence of at most 50 words that
names modality, organ or body part and findings, with relevant details of the neighbours' captions
and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from vesalius.combine.prompting import Prompting
from vesalius.language.assertions import assertions, numbers, sides
from vesalius.language.dictionary import singular

_LABEL = re.compile(
    r"^(?:(?:final|improved|refined|revised)\s+)?caption\s*:\s*(?=\S)", re.IGNORECASE
)
_QUOTES = {'"': '"', "“": "”", "«": "»"}
_SENTENCE_END = re.compile(r"[.!?]+[\"'”)]*\s+(?=[A-Z\d])")
_OF_CAPTIONS = frozenset(
    re.findall(
        r"\w+",
        "appearance appearing caption consistent demonstrate demonstrated demonstrates "
        "demonstrating depict depicted depicting depicts display displaying displays finding "
        "illustrate illustrates illustrating image indicate indicated indicates indicating note "
        "noted observed picture present presence reveal revealed revealing reveals show showed "
        "showing shown shows suggest suggesting suggestive suggests view",
    )
)
"""Words that say that something is shown, and not what."""


class Synthesis(Prompting):
    """What a writer is asked for, and what becomes of a text that is something else."""

    neighbours: int = Field(default=5, ge=1, le=100)
    """At most so many cases are told of."""
    words: int = Field(default=50, ge=5, le=1000)
    """A caption has at most so many words."""
    caption_sentences: int = Field(default=1, ge=1, le=50)
    """And at most so many sentences."""
    violation: Literal["keep", "draft"] = "keep"
    """Of a caption that is longer, cut off, empty, or says what neither the draft nor a neighbour
    says: ``keep`` it and count it, or take the ``draft`` in its place."""


def writer_prompt(
    draft: str,
    neighbours: Sequence[str],
    concepts: Sequence[str],
    settings: Synthesis,
    *,
    seeing: bool = False,
) -> str:
    """The prompt, one for training and asking; without neighbours none are spoken of."""
    sources = [*(["the image"] if seeing else []), "a draft caption"]
    sources += ["captions of similar images"] if neighbours else []
    sources += ["concepts that were detected in it"] if concepts else []
    limit = settings.caption_sentences
    length = "one sentence" if limit == 1 else f"at most {limit} sentences"
    rules = [
        f"Write the caption of a medical image from {_listed(sources)}:",
        f"{length} of at most {settings.words} words",
        "that names the imaging modality, the organ or body part, and the findings.",
        *(["Use details of the similar captions where they fit the draft."] if neighbours else []),
        "Add nothing that does not stand there.",
        f"Draft: {draft.strip() or 'none'}",
    ]
    if neighbours:
        numbered = (f"{number}. {text.strip()}" for number, text in enumerate(neighbours, start=1))
        rules.append(f"Similar images: {' '.join(numbered)}")
    if concepts:
        rules.append(f"Concepts: {', '.join(concepts)}")
    return " ".join([*rules, "Caption:"])


def cleaned(text: str) -> str:
    """The caption alone: blanks made single, a label in front and quotation marks around it gone.

    Nothing is taken from the end, so that no sentence loses its last word.
    """
    words = _LABEL.sub("", " ".join(text.split()))
    if len(words) > 1 and _QUOTES.get(words[0]) == words[-1] and words[0] not in words[1:-1]:
        words = words[1:-1].strip()
    return words


def violations(
    text: str, finish: str | None, sources: Sequence[str], settings: Synthesis
) -> dict[str, int]:
    """What a caption does that it should not, 1 each, and how many words nothing supports.

    ``sources`` are the draft, the neighbours' captions and the concepts. A seeing writer may know
    more than these; what it adds is counted all the same.
    """
    unsupported = len(_claims(text) - set().union(*map(_claims, sources)))
    counts = {
        "empty": int(not text),
        "over_words": int(len(text.split()) > settings.words),
        "over_sentences": int(sentence_count(text) > settings.caption_sentences),
        "cut": int(finish == "length"),
        "unsupported": int(unsupported > 0),
        "unsupported_words": unsupported,
    }
    return {name: count for name, count in counts.items() if count}


def sentence_count(text: str) -> int:
    """How many sentences a text has; a stop in a number or before a small letter ends none."""
    return sum(bool(part.strip()) for part in _SENTENCE_END.split(text))


def _claims(text: str) -> set[tuple[str, bool]]:
    """The content words of a text, each with whether it is stated or negated; sides and numbers."""
    words = ((singular(word), holds) for word, holds in assertions(text, shortest=2).items())
    content = {(word, holds) for word, holds in words if word not in _OF_CAPTIONS}
    return content | {(name, True) for name in (*sides(text), *numbers(text))}


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
