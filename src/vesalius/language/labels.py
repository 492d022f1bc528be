"""Where a text names options by their letters (or numbers before them), and where it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_VERBS = [
    "is",
    "are",
    "because",
    "since",
    "as",
    "seems",
    "appears",
    "would",
    "and",
    "or",
    "nor",
    "but",
    "was",
    "due",
    "for",
    "being",
    "rather",
]
"""What goes on after an option's letter, where another word makes it an article or a name."""
_SURELY = r"(?:(?:most|very)?\s*(?:likely|probably|clearly|definitely|therefore|thus|indeed)\s+)?"
_NAMING = "(?:the )?(?:correct )?(?:options?|choices?|letters?|answers?)"
_CHOOSING = "choose|chose|select(?:ed)?|pick(?:ed)?|go(?:ing)? with"
_END = r"(?![A-Za-z0-9À-ɏ]|'\w|[.,][0-9])"
_CHINESE = r"(?:答案|选项?|应该?[是为选])[是为选: ]*"
_SPECIES = frozenset(
    [
        "coli",
        "aureus",
        "difficile",
        "albicans",
        "pneumoniae",
        "pylori",
        "fumigatus",
        "neoformans",
        "tuberculosis",
    ]
)
"""What follows the letter of a genus: "E. coli" is no option E."""
_LISTED = re.compile(r"\b[A-Z]$")
_GENUS = re.compile(r"\.\s?(\w+)")
_WORD = re.compile(r"\s+([^\W\d_][\w']*)")
_WORD_OF_LINE = re.compile(r"[^\S\n]+([^\W\d_][\w']*)")


@dataclass(frozen=True, slots=True)
class LabelMention:
    """A label and where it stands."""

    label: str
    start: int
    end: int


def label_mentions(text: str, labels: tuple[str, ...]) -> Iterator[LabelMention]:
    """Where a normalised text names an option by its label (lower case), each place once."""
    rules = _rules(labels)
    places: dict[int, LabelMention] = {}
    for kind, rule in rules.items():
        for match in rule.finditer(text):
            if kind != "next" and _names(kind, match, text):
                mention = _mention(match)
                places[mention.start] = mention
                places |= {one.start: one for one in _listed(rules["next"], text, mention)}
    yield from (places[start] for start in sorted(places))


def _mention(match: re.Match[str]) -> LabelMention:
    start, end = match.span("label")
    return LabelMention(match["label"].lower(), start, end)


def _listed(rule: re.Pattern[str], text: str, first: LabelMention) -> Iterator[LabelMention]:
    """The labels that follow one with a comma, "and", "or" ..."""
    at = first.end
    while (match := rule.match(text, at)) and _names("next", match, text):
        yield _mention(match)
        at = match.end("label")


def _names(kind: str, match: re.Match[str], text: str) -> bool:
    """Whether a letter at such a place is an option's name, and no article, pronoun or genus."""
    label, end = match["label"], match.end("label")
    if kind == "brackets":
        return True
    genus = _GENUS.match(text, end)
    if genus and genus[1] in _SPECIES:
        return False
    # A capital that ends its line is no article of the next line's word; "a" may be.
    word = (_WORD_OF_LINE if label.isupper() else _WORD).match(text, end)
    follows = None if word is None else word[1]
    if label in "Ii":
        return follows in {None, "is"} and not text.startswith((",", "'"), end)
    if label == "a":
        return follows is None
    if label == "A" or kind in {"is", "next"}:
        return follows is None or follows in _VERBS
    return kind != "last" or (
        label.isupper()
        and not (
            match[0][0] == "," and _LISTED.search(text, max(0, match.start() - 2), match.start())
        )
    )


@lru_cache(maxsize=1024)
def _rules(labels: tuple[str, ...]) -> dict[str, re.Pattern[str]]:
    """The places where a label can stand; ``next`` goes on from one."""
    label = f"(?P<label>{'|'.join(sorted(map(re.escape, labels), key=len, reverse=True))})"
    opened = r"[\"'(\[]*"
    rules = {
        "brackets": rf"[(\[{{<>$]\s*{label}\s*[)\]}}<>$]",
        "cue": (
            rf"(?:\b(?:{_NAMING}(?:[^.,;:!?\n]{{0,40}}?\b(?:is|are|was|be))?|{_CHOOSING})"
            rf"\s*[:=-]*\s*|{_CHINESE}){_SURELY}(?:{_NAMING}\s+)?{opened}{label}{_END}"
        ),
        "is": rf"\b(?:is|be|was|it's)\s+{_SURELY}{opened}{label}{_END}",
        "start": (
            rf"(?:^|\n)\s*{opened}{label}(?:\s*[.):\]]+(?=\s|$)|\s*[,;](?=\s)|\s+-+\s"
            rf"|[\"' \t]*(?=$|\n)|\s+(?=(?:{'|'.join(_VERBS)})\b))"
        ),
        "last": rf"(?:[.,;:!?\n]|\bbut|\brather)\s*{opened}{label}[\"')\].!]*\s*$",
        "next": (
            r"[\"')\]]*\s*(?:,\s*(?:and|or|nor)?|/|&|\+|and|or|nor)\s*"
            rf"(?:{_NAMING}\s+)?{opened}{label}{_END}"
        ),
    }
    return {kind: re.compile(rule, re.IGNORECASE) for kind, rule in rules.items()}
