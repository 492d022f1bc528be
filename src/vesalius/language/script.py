"""Texts in the form in which they are compared, and the words of any script."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u3002\u0964", "."),
        **dict.fromkeys("\u3001\u060c", ","),
        "\u061f": "?",
        "\u2044": "/",
        "\u00d7": "x",
        **dict.fromkeys("\u200b\u2060\ufeff\u00ad\u200e\u200f", None),
    }
)
_FULL_WIDTH = {0xFF01 + place: 0x21 + place for place in range(94)}
_RAISED = re.compile(r"(?<=\d)(?=[\u00b2\u00b3\u00b9\u2070-\u2079])")
_FRACTION = re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e])")
_OTHER_DIGIT = re.compile(r"[^\W\D]", re.UNICODE)
UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Tibetan, Burmese, Khmer, Han and kana: words stand without spaces between them."""
_MARKED = re.compile(r"([a-z])[\u0300-\u036f]+")
_SEGMENT = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")
_HAS_UNSPACED = re.compile(f"[{UNSPACED}]")
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)
_MICRO = re.compile(r"(?<![^\W\d_])\u03bc(?=(?:m|g|l|s|mol)\b)")


@lru_cache(maxsize=65536)
def normalised(text: str) -> str:
    """The text as it is compared: NFKC, typographic marks as ASCII has them, digits 0 to 9.

    Full-width and circled letters, ligatures and decomposed accents are the plain letters. A
    raised digit after a digit is a power and no further digit (10³ is ``10^3``), a fraction after
    one stands apart (2½ is ``2 1/2``). Characters of no width are dropped.
    """
    if text.isascii():
        return text
    apart = _FRACTION.sub(" ", _RAISED.sub("^", text))
    plain = unicodedata.normalize("NFKC", apart).translate(_TYPOGRAPHY)
    return _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), plain)


def composed(text: str) -> str:
    """The text in NFC with full-width letters as plain ones; all other marks as they are."""
    return text if text.isascii() else unicodedata.normalize("NFC", text.translate(_FULL_WIDTH))


def words(text: str) -> list[str]:
    """The lower-case words of any script; where a script has no spaces, each character is one.

    The mixed segmentation of Lewis et al., MLQA, 2020. A vowel sign belongs to its letter.
    """
    return word_rule().findall(normalised(text).lower())


def segments(text: str) -> list[str]:
    """The text split at blanks, and each character of a script without spaces apart."""
    return text.split() if text.isascii() else _SEGMENT.findall(text)


def latin(text: str) -> str:
    """The lower-case text, its Latin letters without marks: ``Größe`` is ``grosse``, µm ``um``.

    What English tokenisers read; letters of other scripts stay as they are.
    """
    lower = normalised(text).lower()
    if lower.isascii():
        return lower
    bare = _MICRO.sub("u", lower).translate(_LETTERS)
    return unicodedata.normalize("NFC", _MARKED.sub(r"\1", unicodedata.normalize("NFD", bare)))


def has_words(text: str) -> bool:
    """Whether there is a letter or a digit in it, of any script."""
    return bool(words(text))


def is_blank(text: str) -> bool:
    """Whether nothing of it is seen: blanks, controls, and signs without width (U+200B, a mark)."""
    return not any(sign.isprintable() and not sign.isspace() for sign in text)


def is_latin(text: str) -> bool:
    """Whether the text has words, and all their letters and digits are Latin ones (or marked)."""
    read = words(latin(text))
    return bool(read) and all(word.isascii() for word in read)


def is_spaced(text: str) -> bool:
    """Whether the text has words, and all of them stand between spaces or punctuation."""
    return has_words(text) and not _HAS_UNSPACED.search(normalised(text))


@cache
def word_rule() -> re.Pattern[str]:
    """A character of an unspaced script with its marks, or a run of letters, digits and marks."""
    signs = "".join(
        chr(code)
        for span in (range(0x300, 0x3100), range(0xA600, 0xAC00))
        for code in span
        if unicodedata.category(chr(code)).startswith("M")
    )
    alone = f"[{UNSPACED}](?<=[^\\W_])[{signs}]*"
    return re.compile(f"{alone}|(?:(?![{UNSPACED}])[^\\W_][{signs}]*)+")
