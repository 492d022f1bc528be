"""A file id finds its file, whatever has been done to the name since the medium was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from vesalius.data.reading.file_sets import located
from vesalius.errors import DatasetError

ID = ("PT000000", "IM000001")


@pytest.mark.parametrize(
    "name",
    ["PT000000/IM000001", "pt000000/im000001", "Pt000000/IM000001.dcm", "PT000000/im000001.DCM",
     "pt000000/im000001.", "PT000000/IM000001.;1", "PT000000/IM000001;1"],
)  # fmt: skip
def test_it_is_found_by_its_id(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.touch()
    assert located(tmp_path, ID) == path


@pytest.mark.parametrize("name", ["PT000000/IM0000010", "PT000000/IM000001.txt", "PT1/IM000001"])
def test_another_file_is_not_taken_for_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.touch()
    assert located(tmp_path, ID) == tmp_path.joinpath(*ID)


def test_the_very_name_comes_before_others(tmp_path: Path) -> None:
    for name in ("IM000001", "im000001", "IM000001.dcm"):
        (tmp_path / name).touch()
    assert located(tmp_path, ID[1:]) == tmp_path / "IM000001"


def test_two_that_fit_are_named(tmp_path: Path) -> None:
    for name in ("im000001.dcm", "IM000001.DCM"):
        (tmp_path / name).touch()
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system does not tell cases apart")
    with pytest.raises(DatasetError, match=r"IM000001\.DCM and im000001\.dcm"):
        located(tmp_path, ID[1:])
