from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vesalius.cases.picture import Picture
from vesalius.cases.view import View
from vesalius.cli.main import app
from vesalius.data.open import open_dataset
from vesalius.data.synthetic.draw import draw
from vesalius.errors import DatasetError
from vesalius.models.feature_cache import Content, user_cache
from vesalius.steps.forget import forget

VECTOR = np.ones(4, np.float32)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VESALIUS_FEATURES_MB", "4")


def remember(pictures: list[Picture]) -> list[Content]:
    contents = [Content.of_picture(picture) for picture in pictures]
    cache = user_cache()
    assert cache is not None
    cache.write("encoder", dict.fromkeys(contents, VECTOR))
    return contents


def there(contents: list[Content]) -> int:
    cache = user_cache()
    assert cache is not None
    return len(cache.read("encoder", contents))


def files(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        path.write_bytes(path.as_posix().encode())  # bytes are looked up, never decoded
    return paths


def test_one_picture_with_its_views_is_forgotten(tmp_path) -> None:
    one, other = map(Picture.from_file, files(tmp_path / "set", 2))
    contents = remember([one, one.at(View(2)), other])
    assert forget(tmp_path / "set" / "0.png") == (1, 2)
    assert there(contents) == 1


def test_a_folder_is_forgotten_and_only_it(tmp_path) -> None:
    mine = [Picture.from_file(path) for path in files(tmp_path / "set", 3)]
    (other,) = files(tmp_path / "other", 1)
    contents = remember([*mine, Picture.from_file(other)])
    assert forget(tmp_path / "set") == (3, 3)
    assert there(contents) == 1


def test_pictures_inside_tables_are_forgotten_by_the_data_sets_name(tmp_path) -> None:
    draw("path_vqa", tmp_path / "set", cases={"train": 3}, seed=1)
    cases = open_dataset("path_vqa", tmp_path / "set").cases("train")
    contents = remember([case.pictures[0] for case in cases])
    assert forget(tmp_path / "set")[1] == 0
    assert there(contents) == len(contents) > 0
    assert forget(tmp_path / "set", "path_vqa") == (len(contents), len(contents))
    assert there(contents) == 0


def test_the_command_counts_and_an_absent_path_is_named(tmp_path) -> None:
    remember([Picture.from_file(path) for path in files(tmp_path / "set", 2)])
    told = CliRunner().invoke(app, ["data", "forget", str(tmp_path / "set")])
    assert told.exit_code == 0
    assert told.output == "2 pictures looked up, 2 vectors removed, those of texts too\n"
    with pytest.raises(DatasetError, match="no such file or folder"):
        forget(tmp_path / "nothing")
