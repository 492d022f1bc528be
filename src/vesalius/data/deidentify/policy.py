"""The policy as a function from a tag to an action; reads tables, never a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Literal

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from vesalius.data.deidentify.options import Options
from vesalius.system.tables import parse_yaml

Action = Literal["X", "Z", "D", "U", "K", "C"]
"""Remove, empty, put a dummy, replace the UID, keep (and clean inside sequences), shift a date."""
OVERLAYS, CURVES = range(0x6000, 0x6100), range(0x5000, 0x5100)
_DATES = frozenset(("DA", "TM", "DT"))
_CONTENT = 0x0040A730


@dataclass(frozen=True)
class Policy:
    """Which action an element gets under ``options``."""

    options: Options

    def action(self, tag: int) -> Action:
        """The action on an element at any depth. Private and unknown ones are removed."""
        action = self._actions.get(tag)
        if action is None:
            action = self._actions[tag] = self._decide(tag)
        return action

    @cached_property
    def _actions(self) -> dict[int, Action]:
        return {}

    def _decide(self, tag: int) -> Action:
        group = tag >> 16
        keyword = keyword_for_tag(tag)
        if group % 2 or not keyword or group in OVERLAYS or group in CURVES or not tag & 0xFFFF:
            return "X"
        representation = str(dictionary_VR(tag))
        own = self._chosen(tag, keyword)
        if own is not None:
            return own
        if tag in tables()["attributes"]:
            return self._profiled(tables()["attributes"][tag], representation)
        allowed = representation.replace(" or OW", "").split(" or ")
        listed = group in tables()["groups"] and all(v in tables()["kinds"] for v in allowed)
        if listed or keyword in tables()["keep"]:
            return "U" if representation == "UI" else "K"
        return "X"

    def _chosen(self, tag: int, keyword: str) -> Action | None:
        """What is chosen for this attribute alone, by the policy or an option."""
        if self.options.retain_characteristics and keyword in tables()["characteristics"]:
            return "K"
        if tag == _CONTENT:
            return "K" if self.options.keep_reports else "X"
        own = tables()["policy"]["instead"].get(keyword)
        return None if own is None else _action(own)

    def _profiled(self, row: list[Any], representation: str) -> Action:
        _, basic, *more = row
        instead = more[0] if more else {}
        dated = representation in _DATES
        if dated and self.options.dates == "shift" and "dates" in instead:
            return "C"
        if not dated and self.options.retain_device and instead.get("device") == "K":
            return "K"
        if representation == "UI" and basic == "D":
            return "U"
        if representation == "SQ" and basic in {"D", "X/D", "Z/D", "X/Z/D"}:
            # A dummy item would say nothing; the sequence is left empty.
            return "Z"
        choices = tables()["policy"]["choices_of_dates" if dated else "choices"]
        return _action(choices.get(basic, basic))

    def dropped_content(self, concept: str, kind: str) -> bool:
        """Whether a report's content item goes; ``concept`` is ``DCM:121022``, ``kind`` NUM ..."""
        if kind in {"DATE", "TIME", "DATETIME"}:
            return self.options.dates != "shift"
        if kind not in _CODED:
            return True
        return str(tables()["content"].get(f"{concept} {kind}", "K")) == "X"

    def codes(self) -> list[tuple[str, str]]:
        """The items of De-identification Method Code Sequence (PS3.16 CID 7050)."""
        codes = [("113100", "Basic Application Confidentiality Profile")]
        chosen = self.options
        for wanted, code, meaning in (
            (chosen.clean_pixels, "113101", "Clean Pixel Data Option"),
            (chosen.keep_reports, "113104", "Clean Structured Content Option"),
            (
                chosen.dates == "shift",
                "113107",
                "Retain Longitudinal Temporal Information Modified Dates Option",
            ),
            (chosen.retain_characteristics, "113108", "Retain Patient Characteristics Option"),
            (chosen.retain_device, "113109", "Retain Device Identity Option"),
            (chosen.retain_uids, "113110", "Retain UIDs Option"),
        ):
            if wanted:
                codes.append((code, meaning))
        return codes


# Content items that hold codes, numbers, references and coordinates; texts and names are no more.
_REFERENCES = frozenset(("IMAGE", "COMPOSITE", "WAVEFORM", "UIDREF"))
_CODED = _REFERENCES | {"CONTAINER", "CODE", "NUM", "SCOORD", "SCOORD3D", "TCOORD"}


def _action(word: Any) -> Action:
    action: Action = word
    return action


@lru_cache(maxsize=1)
def tables() -> Mapping[str, Any]:
    """Both data files, by tag where they name attributes."""
    profile, policy = (parse_yaml(_text(name)) for name in _FILES)
    unknown = [name for name in policy["keep"] if tag_for_keyword(name) is None]
    assert not unknown, unknown
    return {
        "attributes": {int(tag, 16): row for tag, row in profile["attributes"].items()},
        "content": profile["content"],
        "policy": policy,
        "keep": frozenset(policy["keep"]),
        "groups": frozenset(policy["groups"]),
        "kinds": frozenset(policy["representations"]),
        "schemes": frozenset(policy["schemes"]),
        "characteristics": frozenset(policy["characteristics"]),
        "syntaxes": frozenset(policy["syntaxes"]),
    }


_FILES = ("profile.yaml", "policy.yaml")


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def fingerprint() -> str:
    """A hash of both data files: outputs of two policies are not mixed."""
    return sha256("\0".join(map(_text, _FILES)).encode()).hexdigest()[:16]
