"""Dictionaries of findings: the own one, files, radlabels' where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from vesalius.errors import DatasetError, MissingExtra
from vesalius.language.dictionary import finding_dictionary, lemmas, singular


def test_words_are_compared_in_the_singular() -> None:
    assert lemmas("Ground-glass opacities, masses; foci") == (
        "ground", "glass", "opacity", "mass", "focus",
    )  # fmt: skip
    assert [singular(word) for word in ("pelvis", "thrombus", "gas")] == [
        "pelvis",
        "thrombus",
        "gas",
    ]


def test_a_file_is_a_dictionary(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("stone: {name: Stone, kind: Finding, phrases: [stone, calculus]}")
    both = finding_dictionary(f"{path}+vesalius")
    assert both.names["stone"] == "Stone"
    assert both.names["C0040405"] == "X-Ray computed tomography"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[a]", "a concept is a key"),
        ("stone: {name: Stone}", "a concept is a key"),
        ("stone: {name: Stone, phrases: ['-']}", "'stone' has no phrase"),
        ("{}", "there is no concept"),
        ("a: [", "or a YAML file"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(content)
    with pytest.raises(DatasetError, match=message) as refused:
        finding_dictionary(str(path))
    assert str(path) in str(refused.value)


def test_a_dictionary_that_is_not_there_is_refused() -> None:
    with pytest.raises(DatasetError, match="vesalius, radlabels, or a YAML file"):
        finding_dictionary("radlabel")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path))
    finding_dictionary.cache_clear()
    return tmp_path


def test_radlabels_is_asked_for_with_its_command(cache: Path) -> None:
    with pytest.raises(MissingExtra, match=r'pip install --no-deps .*"\$VESALIUS_CACHE/radlabels"'):
        finding_dictionary("radlabels")


def test_radlabels_is_read_and_never_run(cache: Path) -> None:
    path = cache / "radlabels" / "radlabels" / "aliases.py"
    path.parent.mkdir(parents=True)
    run = "raise SystemExit\n"
    entry = '{"lung_nodule": {"aliases": ["nodule"], "exclude": ["thyroid"]}}'
    path.write_text(f"{run}ALIASES: dict[str, dict[str, list[str]]] = {entry}\n")
    known = finding_dictionary("radlabels").entries["lung_nodule"]
    assert (known.name, known.phrases) == ("lung nodule", ("lung nodule", "nodule"))
    assert known.exclude == ("thyroid",)
    path.write_text("ALIASES: dict = make()\n")
    finding_dictionary.cache_clear()
    with pytest.raises(DatasetError, match="not the dictionary of radlabels"):
        finding_dictionary("radlabels")
