"""The words of answers and references, normalised as each protocol says."""

from __future__ import annotations

import re
import string

from vesalius.cases.prediction import Prediction
from vesalius.language.questions import is_polar
from vesalius.language.script import latin, normalised, word_rule

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_UNREAD = " xunreadx "  # equal to no word of a reference that can be read
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def golds(prediction: Prediction) -> list[str]:
    """The texts of the reference answers."""
    return [answer.text for answer in prediction.references if answer.text is not None]


def tokens(text: str) -> list[str]:
    """Lower-case runs of ``[a-z0-9]``, as ROUGE reads; Latin letters without their marks."""
    return re.findall(r"[a-z0-9]+", latin(text))


def english(text: str) -> str:
    """The text for a tokeniser of ``[a-z0-9]``: a word that it cannot read is one that it can.

    Dropped, such words of an answer would leave the rest to match a reference as if it were all.
    """
    return word_rule().sub(lambda word: word[0] if word[0].isascii() else _UNREAD, latin(text))


def squad(text: str) -> str:
    """SQuAD v2 normalisation: lower, delete punctuation, drop articles, collapse spaces.

    Before it NFKC, and typographic marks as ASCII has them: what looks the same is the same.

    The order matters: "T2-weighted" becomes ``t2weighted``, "2.5 cm" becomes ``25 cm``.
    Source: Rajpurkar et al., 2018, the official evaluation script.
    """
    bare = normalised(text).lower().translate(_WITHOUT_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def image_clef(text: str) -> str:
    """ImageCLEFmedical Caption normalisation: lower, digit runs to ``number``, no punctuation.

    It makes "T1-weighted" equal "T2-weighted": never show its scores without ``content``.
    """
    numbers = re.sub(r"\d+", "number", normalised(text).lower())
    return numbers.translate(_WITHOUT_PUNCTUATION).strip()


def is_closed(prediction: Prediction) -> bool:
    """Whether the question is closed: the data set's own field, else a gold of yes or no."""
    if prediction.kind is not None:
        return prediction.kind == "closed"
    texts = golds(prediction)
    return bool(texts) and is_polar(texts[0])
