"""Folders for the Hugging Face hub, read back by its own library and by our reader."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from layouts import drawing, put, put_lines
from PIL import Image
from scans import scan, written
from typer.testing import CliRunner

from vesalius.cases.case import Answer, Box, Case, Question
from vesalius.cases.picture import Picture
from vesalius.cli.main import app
from vesalius.data import hub_export
from vesalius.data.cards import card
from vesalius.data.hub_export import export_hub_folder
from vesalius.data.open import open_dataset
from vesalius.data.reading.streams import Streams
from vesalius.errors import DatasetError, ImageError

FORMS = pytest.mark.parametrize("parquet", [False, True], ids=["imagefolder", "parquet"])
SOME = {"cases": {"train": 5, "test": 3}}


def loaded(folder, tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    return datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def value(row, name):
    """A column's value, whether it stands as it is or as JSON within text."""
    content = row[name]
    return json.loads(content) if isinstance(content, str) and content[:1] in "[{" else content


def streams(**splits):
    return Streams("own", {name: lambda cases=cases: iter(cases) for name, cases in splits.items()})


def case(name, *pictures, **content):
    held = tuple(
        Picture(f"{name}-{n}.png", lambda data=data: data) for n, data in enumerate(pictures)
    )
    return Case(id=name, group=f"patient-{name}", pictures=held, **content)


@FORMS
def test_datasets_reads_every_row_with_its_picture_and_words(parquet, tmp_path):
    drawn = open_dataset("phantom", options=SOME)
    done = export_hub_folder(drawn, tmp_path / "out", card=card("phantom"), parquet=parquet)
    assert done.rows == done.pictures == {"train": 5, "test": 3}
    assert (done.as_decoded, done.losses) == (0, {})
    read = loaded(tmp_path / "out", tmp_path)
    assert {split: rows.num_rows for split, rows in read.items()} == done.rows
    for split, rows in read.items():
        for row, own in zip(rows, drawn.cases(split), strict=True):
            assert (row["id"], row["group"], row["caption"]) == (own.id, own.group, own.caption)
            assert tuple(value(row, "concepts")) == own.concepts
            assert [b["bbox"] for b in value(row, "boxes")] == [
                [b.x, b.y, b.width, b.height] for b in own.boxes
            ]
            questions = value(row, "questions")
            assert [q["question"] for q in questions] == [q.text for q in own.questions]
            assert [q["answers"] for q in questions] == [[q.answers[0].text] for q in own.questions]
            assert json.loads(row["context"]) == own.context
            assert np.array_equal(np.asarray(row["image"].convert("RGB")), own.pictures[0].pixels())


@FORMS
def test_our_reader_has_the_same_cases_again(parquet, tmp_path):
    outline = ((1.0, 1.0), (9.0, 1.0), (5.0, 9.0))
    boxes = (Box(1, 1, 8, 8, "lesion", polygon=outline), Box(2, 2, 3, 3, "many", crowd=True))
    asked = Question("what?", "q1", (Answer("this"), Answer("that")), "organ", "open", ("this",))
    own = case("a", drawing(1), boxes=boxes, questions=(asked,), caption="one", modality="ct")
    export_hub_folder(streams(train=[own]), tmp_path / "out", parquet=parquet)
    read = open_dataset("folder", tmp_path / "out")
    (again,) = read.cases(read.splits()[0])
    for name in ("id", "group", "caption", "modality", "boxes", "concepts", "context"):
        assert getattr(again, name) == getattr(own, name), name
    assert again.questions == own.questions


@FORMS
def test_types_do_not_depend_on_what_a_split_happens_to_hold(parquet, tmp_path):
    # nothing annotated, nothing present, no options, no answers: each would be another type
    full = case(
        "a",
        drawing(1),
        caption="one",
        boxes=(Box(1, 1, 2, 2, "lesion"),),
        questions=(Question("what?", "q", (Answer("it"),), options=("it", "not")),),
    )
    bare = case("b", drawing(2), boxes=(), questions=(Question("which?", "q"),))
    export_hub_folder(streams(train=[full], test=[bare]), tmp_path / "out", parquet=parquet)
    read = loaded(tmp_path / "out", tmp_path)
    assert read["train"].features == read["test"].features
    (row,) = read["test"]
    assert value(row, "boxes") == []
    assert not row["caption"]
    assert value(row, "questions")[0]["answers"] == []


@FORMS
def test_several_pictures_stand_in_their_order_and_what_does_not_fit_is_counted(parquet, tmp_path):
    pair = case("a", drawing(1, (20, 10)), drawing(2, (10, 30)),
                questions=(Question("first?", "1", (Answer(boxes=()),)),
                           Question("then?", "2", (Answer("yes"),), shows=(1,))))  # fmt: skip
    none = Case(id="w", group="w", pictures=(), caption="words alone")
    one = case("b", drawing(3, (8, 8)))
    done = export_hub_folder(streams(train=[pair, none, one]), tmp_path / "o", parquet=parquet)
    assert (done.rows, done.pictures) == ({"train": 2}, {"train": 3})
    assert done.losses == {
        "answers without text": 1,
        "questions' own pictures (all stand with the row)": 1,
        "cases without a picture": 1,
    }
    first, second = loaded(tmp_path / "o", tmp_path)["train"]
    assert [picture.size for picture in first["images"]] == [(20, 10), (10, 30)]
    assert [picture.size for picture in second["images"]] == [(8, 8)]


def test_dicom_is_written_as_decoded_and_names_do_not_collide(tmp_path):
    put(tmp_path / "own" / "x" / "a.dcm", written(scan(np.arange(256).reshape(16, 16))))
    put(tmp_path / "own" / "A.png", drawing(2, (16, 16)))
    lines = [{"id": "1", "image": "x/a.dcm"}, {"id": "2", "image": "A.png"}]
    put_lines(tmp_path / "own" / "train.jsonl", lines)
    done = export_hub_folder(open_dataset("folder", tmp_path / "own"), tmp_path / "out")
    assert done.as_decoded == 1
    images = tmp_path / "out" / "train" / "images"
    assert sorted(path.name for path in images.iterdir()) == ["A~2.png", "a.png"]
    assert (images / "A~2.png").read_bytes() == (tmp_path / "own" / "A.png").read_bytes()
    with Image.open(images / "a.png") as picture:
        assert picture.size == (16, 16)


def test_parquet_files_are_streamed_and_numbered_when_their_count_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_export, "GROUP_BYTES", 1)
    monkeypatch.setattr(hub_export, "SHARD_BYTES", 1)
    export_hub_folder(open_dataset("phantom", options=SOME), tmp_path / "out", parquet=True)
    names = sorted(path.name for path in (tmp_path / "out" / "train").iterdir())
    assert names == [f"train-{number:05d}-of-00005.parquet" for number in range(5)]
    assert loaded(tmp_path / "out", tmp_path)["train"].num_rows == 5


def test_the_folder_says_its_licence_and_where_its_splits_lie(tmp_path):
    drawn = open_dataset("phantom", options=SOME)
    export_hub_folder(drawn, tmp_path / "out", card=card("phantom"))
    text = (tmp_path / "out" / "README.md").read_text()
    metadata = yaml.safe_load(text.split("---")[1])
    assert metadata["license_name"] == card("phantom").licence
    assert [one["split"] for one in metadata["configs"][0]["data_files"]] == ["train", "test"]
    assert "| test | 3 | 3 |" in text


def test_a_picture_that_cannot_be_read_leaves_the_target_as_it_was(tmp_path):
    broken = case("b", b"no picture")
    for parquet in (False, True):
        with pytest.raises(ImageError, match=r"b-0\.png"):
            export_hub_folder(
                streams(train=[case("a", drawing(1)), broken]), tmp_path / "o", parquet=parquet
            )
        assert not (tmp_path / "o").exists()


def test_what_the_hub_cannot_take_is_refused_in_words(tmp_path):
    with pytest.raises(DatasetError, match="no split called 'fold-1'"):
        export_hub_folder(streams(**{"fold-1": [case("a", drawing(1))]}), tmp_path / "o")
    with pytest.raises(DatasetError, match="no case has a picture"):
        export_hub_folder(streams(train=[Case(id="w", group="w", pictures=())]), tmp_path / "o")
    put(tmp_path / "o" / "mine.txt", b"mine")
    with pytest.raises(DatasetError, match="not empty"):
        export_hub_folder(streams(train=[case("a", drawing(1))]), tmp_path / "o")
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["mine.txt"]


def test_the_command_tells_what_it_wrote(tmp_path):
    out = str(tmp_path / "out")
    words = ["data", "export", "phantom", out, "--parquet", "--set", "cases={train: 2}"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "train: 2 rows, 2 pictures" in result.output
    assert "nothing was left out" in result.output
    assert "group names patients" in result.output
