"""A picture as a stack: which frames it has, and what the viewer is told of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="the extra web is not installed")

from vesalius.service.http.schemas import DisplayOut, Uploaded, Window
from vesalius.service.web.stack import Stack


def stack(kind: str = "dicom", frames: int = 12, **fields: Any) -> Stack:
    facts = {"image_id": "img_1", "sha256": "0", "width": 8, "height": 8, "modality": None}
    facts |= {"warnings": [], "expires_at": datetime.now(UTC), "kind": kind, "frames": frames}
    return Stack("img_1", Uploaded(**facts | fields))


@pytest.mark.parametrize(
    ("kind", "frames", "wanted", "frame"),
    [
        ("dicom", 12, None, 6),  # the middle one, as the API has it
        ("dicom", 12, 3, 3),
        ("dicom", 12, 12, 6),  # counted from 0: there is none of this number
        ("tiff", 5, None, 0),
        ("dicom", 1, 0, None),
        ("gif", 9, None, None),  # of an animation the first picture is kept
        ("png", 1, 3, None),
    ],
)
def test_the_frame_is_the_wanted_one_or_the_api_s(
    kind: str, frames: int, wanted: int | None, frame: int | None
) -> None:
    assert stack(kind, frames).frame(wanted) == frame


def test_only_a_dicom_picture_has_a_window() -> None:
    lung = Window(centre=-600, width=1500)
    assert stack("dicom").window(lung) == lung
    assert stack("png", 1).window(lung) is None  # an address may say anything
    assert Stack("img_1", None).window(lung) == lung


def test_of_a_picture_without_facts_the_view_is_taken_as_it_is() -> None:
    bare = Stack("img_1", None)
    assert bare.frame(3) == 3
    scene = bare.scene("ticket", frame=3, window=None, move=True)
    assert ([one.frame for one in scene.slices], scene.at, scene.own) == ([3], 0, None)


def test_a_picture_of_a_series_stands_among_the_others() -> None:
    series = ["img_0", "img_1", "img_2"]
    one = stack(frames=1)
    one = Stack("img_1", one.facts, series)
    scene = one.scene("ticket", frame=None, window=None, move=False)
    assert ([each.image for each in scene.slices], scene.at) == (series, 1)
    # The stack is the same one from wherever it is looked at; one with frames has those.
    other = Stack("img_2", one.facts, series).scene("ticket", frame=None, window=None, move=False)
    assert (scene.key, other.at) == (other.key, 2)
    several = Stack("img_1", stack().facts, series)
    assert {each.image for each in several.slices(3)} == {"img_1"}


def test_a_ct_has_its_presets_and_others_their_own_window() -> None:
    display = DisplayOut(window=Window(centre=50, width=400), sides=None, spacing=(1, 1), rate=None)
    view = {"frame": 7, "window": (40.0, 80.0), "move": False}
    scene = stack(modality="CT", display=display).scene("ticket", **view)
    assert (scene.at, len(scene.slices), scene.window) == (7, 12, (40.0, 80.0))
    assert (scene.own, scene.unit, scene.presets["Lung"]) == ((50, 400), " HU", (-600, 1500))
    scene = stack(modality="MR", display=display).scene("ticket", **view)
    assert (scene.own, scene.unit, scene.presets) == ((50, 400), "", {"File's own": None})
    assert stack(display=None).scene("ticket", **view).own is None
