"""Concepts read from captions, in any data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError, MissingExtra
from vesalius.language.dictionary import finding_dictionary

ROWS = """id,image,caption
a,a.png,CT of the chest with a pleural effusion and no pneumothorax.
b,b.png,Possible fracture.
c,c.png,
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "all.csv").write_text(ROWS)
    return tmp_path / "all.csv"


def test_what_a_caption_states_is_a_concept(folder: Path) -> None:
    dataset = open_dataset("folder", folder, options={"concepts_from": "vesalius"})
    (split,) = dataset.splits()
    first, second, third = dataset.cases(split)
    assert set(first.concepts or ()) == {"C0040405", "C0817096", "C0032227"}
    assert second.concepts == ()  # hedged is not stated
    assert third.concepts is None  # nothing was written of it


def test_a_split_file_goes_with_it(folder: Path, tmp_path: Path) -> None:
    rows = ['{"id": "a", "split": "train"}', '{"id": "b", "split": "test"}']
    (tmp_path / "splits.jsonl").write_text("\n".join(rows) + "\n")
    options = {"concepts_from": "vesalius", "split_file": str(tmp_path / "splits.jsonl")}
    dataset = open_dataset("folder", folder, options=options)
    (case,) = dataset.cases("train")
    assert "C0040405" in (case.concepts or ())


def test_a_dictionary_that_is_not_here_is_refused_at_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / "empty"))
    finding_dictionary.cache_clear()
    with pytest.raises(MissingExtra, match="pip install --no-deps"):
        open_dataset("folder", folder, options={"concepts_from": "radlabels"})
    with pytest.raises(DatasetError, match="not a dictionary of findings"):
        open_dataset("folder", folder, options={"concepts_from": "caption"})
