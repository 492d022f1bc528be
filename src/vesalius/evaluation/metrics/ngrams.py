"""Words and n-grams as the COCO caption tools count them."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Any

from nltk.tokenize.treebank import TreebankWordTokenizer

Ngrams = Counter[tuple[str, ...]]

# The tokens that COCO's caption evaluation drops, brackets as NLTK writes them.
_DROPPED = frozenset(re.findall(r"\S+", "'' ' `` ` ( ) { } . ? ! , : - -- ... ;"))
TOKENISER = (
    "lower; NLTK's Penn Treebank tokens (COCO uses Stanford's); COCO's punctuation list dropped"
)


def coco_tokens(text: str) -> list[str]:
    """Lower-case Penn Treebank tokens without punctuation, offline and without Java.

    A full stop before a space is split off everywhere: captions have several sentences.
    """
    apart = re.sub(r"(?<=\w)\.(?=\s)", " .", text.lower())
    return [word for word in _tokenizer().tokenize(apart) if word not in _DROPPED]


def ngrams(words: list[str], longest: int = 4) -> Ngrams:
    """How often each run of 1 to ``longest`` words occurs."""
    return Counter(
        tuple(words[i : i + k]) for k in range(1, longest + 1) for i in range(len(words) - k + 1)
    )


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    return TreebankWordTokenizer()
