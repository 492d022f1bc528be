"""The words of answers and references, normalised as each protocol says."""

from __future__ import annotations

import re
import string
from typing import Literal

from vesalius.cases.prediction import Prediction

Polarity = Literal["yes", "no"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def golds(prediction: Prediction) -> list[str]:
    """The texts of the reference answers."""
    return [answer.text for answer in prediction.references if answer.text is not None]


def tokens(text: str) -> list[str]:
    """Lower-case runs of ``[a-z0-9]``, as ROUGE and the strict closed parser read."""
    return re.findall(r"[a-z0-9]+", text.lower())


def squad(text: str) -> str:
    """SQuAD v2 normalisation: lower, delete punctuation, drop articles, collapse spaces.

    The order matters: "T2-weighted" becomes ``t2weighted``, "2.5 cm" becomes ``25 cm``.
    Source: Rajpurkar et al., 2018, the official evaluation script.
    """
    bare = text.lower().translate(_WITHOUT_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def image_clef(text: str) -> str:
    """ImageCLEFmedical Caption normalisation: lower, digit runs to ``number``, no punctuation.

    It makes "T1-weighted" equal "T2-weighted": never show its scores without ``content``.
    """
    numbers = re.sub(r"\d+", "number", text.lower())
    return numbers.translate(_WITHOUT_PUNCTUATION).strip()


def polarity(text: str) -> Polarity | None:
    """The one of yes and no that occurs as a word; None where neither or both do."""
    matches = set(tokens(text)) & {"yes", "no"}
    if len(matches) != 1:
        return None
    return "yes" if "yes" in matches else "no"


def is_closed(prediction: Prediction) -> bool:
    """Whether the question is closed: the data set's own field, else a gold of yes or no."""
    if prediction.kind is not None:
        return prediction.kind == "closed"
    texts = golds(prediction)
    return bool(texts) and squad(texts[0]) in {"yes", "no"}
