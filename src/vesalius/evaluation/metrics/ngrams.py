"""Words and n-grams as the COCO caption tools count them."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Any

from nltk.tokenize.treebank import TreebankWordTokenizer

from vesalius.language.script import composed

Ngrams = Counter[tuple[str, ...]]

# What COCO's caption evaluation drops. Brackets stay, as Stanford's tokeniser writes them: the
# tool's list has them in upper case, and its texts are lower case.
_DROPPED = frozenset(re.findall(r"\S+", "'' ' `` ` . ? ! , : - -- ... ;"))
_BRACKETS = {
    mark: f"-{name}-"
    for mark, name in zip("()[]{}", ["lrb", "rrb", "lsb", "rsb", "lcb", "rcb"], strict=True)
}
TOKENISER = (
    "NFC; lower; NLTK's Penn Treebank tokens, close to Stanford's that COCO uses; COCO's "
    "punctuation list dropped, brackets kept as -lrb-, -rrb-"
)
_ABBREVIATIONS = re.compile(
    r"\b(figs?|al|ct|dr|drs|mr|mrs|ms|st|vs|etc|prof|dept|inc|ltd|no(?=\. ?\d)|[a-z](?:\.[a-z])*)\."
    r"(?=\s|$|[,;:)\]])"
)
"""Words that Stanford's tokeniser leaves their full stop."""
_STOP = "\ue000"
_APART: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rule), by)
    for rule, by in (
        (r"[\u201c\u201d\u201e]", '"'),
        (r"[\u2018\u2019]", "'"),
        (r"[\u2012-\u2015]|(?<=\w)-(?=\s|$)", " -- "),
        ("\u00bd", " 1/2 "),
        ("\u00bc", " 1/4 "),
        ("\u00be", " 3/4 "),
        (r"([^\w\s!-~\ue000\u2010])", r" \1 "),
        (r"([+*~])", r" \1 "),
        (r"(?<!\w)'(?=\w)", "` "),
        (r"(\d\.\d+)(?=[a-z])", r"\1 "),
        (_ABBREVIATIONS.pattern, rf"\1{_STOP}"),
        (r"(?<=\w)\.(?=\s|$)", " ."),
    )
)
"""Where NLTK's tokeniser leaves together, or takes apart, what Stanford's does not."""


def coco_tokens(text: str) -> list[str]:
    """Lower-case Penn Treebank tokens without punctuation, offline and without Java.

    A full stop before a space is split off everywhere: captions have several sentences.
    """
    plain = composed(text).lower()
    for rule, by in _APART:
        plain = rule.sub(by, plain)
    words = (_BRACKETS.get(word, word) for word in _tokenizer().tokenize(plain))
    return [word.replace(_STOP, ".") for word in words if word not in _DROPPED]


def ngrams(words: list[str], longest: int = 4) -> Ngrams:
    """How often each run of 1 to ``longest`` words occurs."""
    return Counter(
        tuple(words[i : i + k]) for k in range(1, longest + 1) for i in range(len(words) - k + 1)
    )


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    return TreebankWordTokenizer()
