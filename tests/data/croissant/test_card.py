"""Cards as Croissant, validated and read by its own library."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from layouts import drawing, put, put_lines
from scans import scan, written
from typer.testing import CliRunner

from vesalius.cli.main import app
from vesalius.data.cards import Card, card
from vesalius.data.croissant.card import croissant_card
from vesalius.data.croissant.vocabulary import vocabulary
from vesalius.data.datasets import datasets
from vesalius.data.hub_export import export_hub_folder
from vesalius.data.open import open_dataset
from vesalius.data.synthetic.draw import draw
from vesalius.errors import RecipeError
from vesalius.settings import validated

DRAWN = ["brain_tumor", "folder", "image_clef", "medpix", "path_vqa", "roco", "slake"]
DRAWN += ["vqa_med", "vqa_rad"]
UNKNOWN = {"citeAs", "datePublished", "version"}
"""What its library recommends, and no card, or not every one, has."""


@pytest.fixture(name="mlc")
def library(monkeypatch):
    """mlcroissant, silent about what is recommended: its warnings are looked at by the tests."""
    found = pytest.importorskip("mlcroissant", reason="validated by mlcroissant (extra dev)")
    monkeypatch.setattr(logging.getLogger("absl"), "disabled", True)
    return found


def valid(mlc, path):
    """The data set that the library reads, without an error, and without an unexpected warning."""
    made = mlc.Dataset(str(path))
    assert not made.metadata.ctx.issues.errors
    for warning in made.metadata.ctx.issues.warnings:
        assert any(name in warning for name in UNKNOWN), warning
    return made


def written_card(path: Path, entry: Card, dataset=None, **how):
    made = croissant_card(entry, dataset, **how)
    path.write_text(json.dumps(made.content))
    return made


def decoded(record):
    return {
        key.rpartition("/")[2]: value.decode() if isinstance(value, bytes) else value
        for key, value in record.items()
    }


@pytest.mark.parametrize("name", sorted(datasets))
def test_every_card_is_valid_alone(name, mlc, tmp_path):
    entry = card(name)
    made = written_card(tmp_path / "card.json", entry)
    read = valid(mlc, tmp_path / "card.json").metadata
    assert str(read.ctx.conforms_to.value).endswith("/1.1")
    assert (read.name, read.license) == (name, [entry.licence])
    assert read.data_use_cases == [" ".join(entry.intended_use.split())]
    assert read.data_limitations == [" ".join(quirk.split()) for quirk in entry.quirks]
    assert read.cite_as == (None if entry.citation == "none" else entry.citation)
    assert any("creator" in words for words in made.omissions)
    assert bool(read.distribution) == bool(entry.hub)


@pytest.mark.parametrize("name", DRAWN)
def test_every_layout_is_described_with_hashes_columns_and_splits(name, mlc, tmp_path):
    draw(name, tmp_path, cases={"train": 4, "validation": 2, "test": 2}, seed=0)
    dataset = open_dataset(name, tmp_path)
    path = tmp_path / "croissant.json"
    written_card(path, card(name), dataset, root=tmp_path, without=path)
    read = valid(mlc, path)
    for one in read.metadata.file_objects:
        content = (tmp_path / one.content_url).read_bytes()
        assert one.sha256 == hashlib.sha256(content).hexdigest()
    assert read.metadata.distribution
    counted = {decoded(row)["name"]: decoded(row)["cases"] for row in read.records("splits")}
    assert counted == {s: len(list(dataset.cases(s))) for s in dataset.splits()}


def test_an_import_is_read_row_by_row(mlc, tmp_path):
    own = tmp_path / "own"
    put(own / "a.png", drawing(1, (8, 8)))
    put(own / "b.png", drawing(2, (8, 8)))
    rows = [
        {
            "image": "a.png",
            "caption": "one",
            "patient": "p1",
            "concepts": ["c1", "c2"],
            "boxes": [{"bbox": [1, 1, 3, 3], "label": "lesion"}, {"bbox": [2, 2, 4, 4]}],
        },
        {"image": "b.png", "caption": "two", "patient": "p2", "concepts": ["c3"], "boxes": []},
    ]
    put_lines(own / "rows.jsonl", rows)
    out, path = tmp_path / "set", tmp_path / "set" / "croissant.json"
    runner = CliRunner()
    done = runner.invoke(app, ["data", "import", str(own), str(out), "--fractions", "train=1.0"])
    assert done.exit_code == 0, done.output
    said = runner.invoke(
        app, ["data", "card", "folder", "--croissant", str(path), "--root", str(out)]
    )
    assert said.exit_code == 0, said.output
    assert "left out: creator" in said.output
    read = valid(mlc, path)
    found = [decoded(row) for row in read.records("rows/train.jsonl")]
    assert {(row["caption"], row["group"]) for row in found} == {("one", "p1"), ("two", "p2")}
    labels = {row["caption"]: row["boxes"] for row in found}
    assert [one["rows/train.jsonl/boxes/label"].decode() for one in labels["one"]] == [
        "lesion",
        "finding",
    ]
    pictures = next(one for one in read.metadata.file_sets)
    assert pictures.includes == ["**/*.png"]
    # written again it does not describe itself
    runner.invoke(app, ["data", "card", "folder", "--croissant", str(path), "--root", str(out)])
    assert "croissant.json" not in [
        one.content_url for one in valid(mlc, path).metadata.file_objects
    ]


def test_tables_of_every_kind_are_read_by_column(mlc, tmp_path):
    rows = [
        {"image": "a b.png", "age": 5, "sure": True},
        {"image": "c.png", "age": 7, "sure": False},
    ]
    put(tmp_path / "a b.png", drawing(1, (8, 8)))
    put(tmp_path / "c.png", drawing(2, (8, 8)))
    put(tmp_path / "my table.csv", b"image,age\na b.png,5\nc.png,7\n")
    put(tmp_path / "list.json", json.dumps(rows).encode())
    put_lines(tmp_path / "lines.jsonl", rows)
    path = tmp_path / "card.json"
    made = written_card(path, card("folder"), root=tmp_path, without=path)
    read = valid(mlc, path)
    for name in ("my table.csv", "list.json", "lines.jsonl"):
        found = [decoded(row) for row in read.records(f"rows/{name.replace(' ', '_')}")]
        assert [str(row["image"]) for row in found] == ["a b.png", "c.png"], name
        assert [int(row["age"]) for row in found] == [5, 7], name
    kinds = {f.uuid: f.data_types for r in read.metadata.record_sets for f in r.fields}
    assert "Boolean" in str(kinds["rows/lines.jsonl/sure"])
    assert "Integer" in str(kinds["rows/list.json/age"])
    assert any("counts of its splits" in words for words in made.omissions)


def test_pictures_within_parquet_files_are_pictures(mlc, tmp_path):
    drawn = open_dataset("phantom", options={"cases": {"train": 2}})
    export_hub_folder(drawn, tmp_path, parquet=True)
    path = tmp_path / "card.json"
    written_card(path, card("phantom"), drawn, root=tmp_path)
    name = "rows/train/train-00000-of-00001.parquet"
    found = [decoded(row) for row in valid(mlc, path).records(name)]
    assert [row["caption"] for row in found] == [case.caption for case in drawn.cases("train")]
    assert [row["image"].size for row in found] == [(96, 96)] * 2
    for row, case in zip(found, drawn.cases("train"), strict=True):
        assert [one[f"{name}/questions/question"].decode() for one in row["questions"]] == [
            question.text for question in case.questions
        ]


def test_a_key_that_some_rows_lack_is_no_column_of_a_list(tmp_path):
    # a path into a list would join it with other rows' values
    rows = [{"a": 1, "b": 2}, {"a": 3}]
    put(tmp_path / "list.json", json.dumps(rows).encode())
    made = croissant_card(card("folder"), root=tmp_path)
    (record,) = made.content["recordSet"]
    assert [one["name"] for one in record["field"]] == ["a"]
    assert "1 columns or keys of list.json, which no path finds" in made.omissions


def test_paths_of_pictures_stand_nowhere(tmp_path):
    put(tmp_path / "Doe_Jane" / "scan.dcm", written(scan(np.zeros((8, 8), int))))
    put(tmp_path / "Doe_Jane" / "IM0001", b"without an ending")
    made = croissant_card(card("dicom"), root=tmp_path)
    assert "Doe" not in json.dumps(made.content)
    assert "Doe" not in " ".join(made.omissions)
    assert "1 files of other kinds" in made.omissions


def test_labels_beside_pictures_are_a_set_without_names(mlc, tmp_path):
    for number in range(60):
        put(tmp_path / f"Doe_{number}.txt", b"0 0.5 0.5 0.1 0.1")
        put(tmp_path / f"Doe_{number}.json", b"[]")
    path = tmp_path / "card.json"
    written_card(path, card("folder"), root=tmp_path, without=path)
    assert "Doe" not in path.read_text()
    (files,) = valid(mlc, path).metadata.file_sets
    assert files.includes == ["**/*.json", "**/*.txt"]


def test_what_is_no_table_is_a_file_and_told(tmp_path):
    put(tmp_path / "odd.json", b"{ not json")
    made = croissant_card(card("folder"), root=tmp_path)
    assert [one["name"] for one in made.content["distribution"]] == ["odd.json"]
    assert "the columns of odd.json, which is no table of rows" in made.omissions


def test_what_the_card_says_in_rai_words_is_passed_on_and_checked():
    made = croissant_card(card("phantom"))
    assert made.content["rai:dataCollectionType"] == ["Synthetic"]
    rest = next(words for words in made.omissions if words.startswith("of RAI"))
    assert "dataBiases" in rest
    assert "dataCollectionType" not in rest
    own = card("phantom").model_dump() | {"rai": {"dataColection": "mistyped"}}
    with pytest.raises(RecipeError, match="no property of RAI: dataColection"):
        validated(Card, own, where="card")


def test_the_vocabulary_is_the_librarys(mlc):
    from mlcroissant._src.core import constants
    from mlcroissant._src.core.context import Context, CroissantVersion
    from mlcroissant._src.core.rdf import make_context

    own = vocabulary()
    assert own["context"] == make_context(Context(conforms_to=CroissantVersion.V_1_1))
    known = {str(v).rpartition("/")[2] for k, v in vars(constants).items() if "_RAI_" in k}
    assert {name.lower() for name in own["rai"]} >= {n.lower() for n in known} - {
        "datadatamanipulationprotocol",  # its spelling of dataManipulationProtocol
        "datacollectiontimeframe",
    }


def test_the_command_shows_the_card_too(tmp_path):
    said = CliRunner().invoke(app, ["data", "card", "slake"])
    assert said.exit_code == 0
    assert "Semantically-Labeled" in said.output
    unknown = CliRunner().invoke(app, ["data", "card", "slaek"])
    assert unknown.exit_code != 0
