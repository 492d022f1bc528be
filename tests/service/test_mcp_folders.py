"""Names of files for agents, and errors without paths or what stands in files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vesalius.errors import DatasetError, ImageError, Refusal, RunError, UnknownName, VesaliusError
from vesalius.service.mcp.folders import Folders
from vesalius.service.mcp.listing import listing
from vesalius.service.mcp.refusals import line


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    for name in ("one/data", "two/data"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "a.png").write_text(name)
    return Folders.of([tmp_path / "one" / "data", tmp_path / "two" / "data"])


def test_folders_of_one_name_are_numbered(folders: Folders, tmp_path: Path) -> None:
    assert list(folders.roots) == ["data", "data~2"]
    assert folders.place("data/a.png").read_text() == "one/data"
    assert folders.place("data~2/a.png").read_text() == "two/data"
    assert folders.name(tmp_path / "two" / "data" / "deep") == "data~2/deep"


@pytest.mark.parametrize("name", ["data", "data/", "data/deep/..", "data/./deep"])
def test_what_stays_within_is_found(folders: Folders, name: str) -> None:
    assert folders.holds(folders.place(name))


def test_a_whole_path_is_a_name_within_only(folders: Folders, tmp_path: Path) -> None:
    whole = tmp_path / "one" / "data" / "a.png"
    assert folders.place(str(whole)) == whole
    beside = tmp_path / "one" / "data-of-others"  # begins as the folder does, and is none of it
    beside.mkdir()
    for path in (beside, tmp_path, tmp_path / "one"):
        with pytest.raises(Refusal, match="not in the folders"):
            folders.place(str(path))


def test_a_link_within_is_followed_and_one_that_leads_out_is_not(
    folders: Folders, tmp_path: Path
) -> None:
    root = tmp_path / "one" / "data"
    (root / "in").symlink_to(tmp_path / "two" / "data")
    assert folders.place("data/in/a.png").read_text() == "two/data"
    folders.require_links(root)
    (root / "deep" / "out").symlink_to("../../../../..")
    with pytest.raises(Refusal, match="'data' has a link that leads out"):
        folders.require_links(root)
    with pytest.raises(Refusal, match="not in the folders"):
        folders.place("data/deep/out")


def test_links_in_a_circle_and_what_is_no_file_are_refused(folders: Folders, tmp_path) -> None:
    root = tmp_path / "one" / "data"
    (root / "circle").symlink_to("circle")
    with pytest.raises(Refusal, match="'data/circle' is not in the folders"):
        folders.place("data/circle")
    with pytest.raises(Refusal, match="'data' has a link that leads out"):
        folders.require_links(root)
    os.mkfifo(root / "pipe.png")  # reading it would wait for a writer
    with pytest.raises(Refusal, match=r"'data/pipe\.png' is neither file nor folder"):
        folders.place("data/pipe.png")


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("none", "file"):
        with pytest.raises(Refusal, match="is no folder"):
            Folders.of([tmp_path / name])


def test_a_data_set_is_known_by_its_tables(folders: Folders, tmp_path: Path) -> None:
    root = tmp_path / "one" / "data"
    for name in ("deep/test.csv", "split/train/metadata.jsonl", "split/test/metadata.jsonl"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    (root / "notes.yaml").write_text("name: none of ours")
    (root / "run").mkdir()
    (root / "run" / "recipe.yaml").write_text("name: torn")
    listed = listing(folders)
    assert [row["name"] for row in listed["data_sets"]] == ["data/deep", "data/split"]
    assert listed["runs"] == [{"name": "data/run", "unreadable": "RecipeError"}]
    assert listed["recipes"] == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImageError("image", "it is torn", where="/x/Jane.png"), "it is torn"),
        (RunError("has no index", where=Path("/x/Jane"), hint="fit"), "has no index; fit"),
        (RunError("no field 'Jane'", where="/x/a.jsonl line 3"), "RunError"),
        (RunError("changed: Jane", where=Path("/x/status.json")), "RunError"),
        (DatasetError("'Jane' is no number", where="a.csv row 2"), "DatasetError"),
        (DatasetError("Jane is no number"), "DatasetError"),
        (VesaliusError("there is no 'Jane' in 'mine'"), "there is no '...' in 'mine'"),
        (VesaliusError("see /home/Jane/x.csv, and /a/b/c"), "see (a path), and (a path)"),
        (UnknownName("metric", "mine", ["mime"]), "did you mean mime?"),
    ],
)  # fmt: skip
def test_an_error_tells_neither_place_nor_content(
    folders: Folders, error: VesaliusError, words: str
) -> None:
    told = line(error, {"run": "mine"}, folders)
    assert words in told
    assert "Jane" not in told


def test_a_path_within_is_told_by_its_name(folders: Folders, tmp_path: Path) -> None:
    error = VesaliusError(f"see {tmp_path}/two/data/deep/x.txt")
    assert line(error, {}, folders) == "see data~2/deep/x.txt"
