"""What a viewer writes beside a DICOM picture: by the standard's letters, or not at all."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from pydicom.dataset import Dataset
from scans import colour_scan, scan, written

from vesalius.cases.display import Display
from vesalius.cases.reencode import reencode

RAMP = np.arange(256, dtype=np.int16).reshape(16, 16)
HALF = math.sqrt(0.5)


def display(pixels: np.ndarray = RAMP, **fields: object) -> Display:
    shown = reencode(written(scan(pixels, **fields))).display
    assert shown is not None
    assert Display.from_row(json.loads(json.dumps(shown.to_row()))) == shown
    return shown


@pytest.mark.parametrize(
    ("cosines", "sides"),
    [
        ([1, 0, 0, 0, 1, 0], ("R", "L", "A", "P")),  # axial, seen from the feet
        ([1, 0, 0, 0, 0, -1], ("R", "L", "H", "F")),  # coronal
        ([0, 1, 0, 0, 0, -1], ("A", "P", "H", "F")),  # sagittal
        # An axial plane turned by 45 degrees about z: two letters, none for what is hardly turned.
        ([HALF, HALF, 0.01, -HALF, HALF, 0], ("RA", "LP", "LA", "RP")),
    ],
)
def test_sides_are_where_the_plane_s_axes_point(cosines: list[float], sides: tuple) -> None:
    assert display(ImageOrientationPatient=cosines).sides == sides


def test_a_projection_says_its_sides_itself() -> None:
    assert display(PatientOrientation=["L", "F"]).sides == ("R", "L", "H", "F")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
        {"ImageOrientationPatient": [1, 0, 0]},
        {"PatientOrientation": ["DOE JANE", "F"]},
        {"PatientOrientation": ["L"]},
        {"PixelSpacing": [0, 1]},
        {"FrameTime": 0},
        {"CineRate": 100_000},
    ],
)
def test_what_is_no_direction_distance_or_rate_is_not_told(fields: dict[str, object]) -> None:
    shown = display(**fields)
    assert (shown.sides, shown.spacing, shown.rate) == (None, None, None)


def test_a_distance_at_the_detector_is_none_in_the_patient() -> None:
    assert display(PixelSpacing=[0.7, 0.5]).spacing == (0.7, 0.5)
    projection = {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}
    assert display(**projection).spacing is None
    assert display(**projection, PixelSpacingCalibrationType="GEOMETRY").spacing == (0.2, 0.2)


def test_the_own_window_is_the_header_s_or_the_range_that_is_shown() -> None:
    assert display(WindowCenter=[40, 600], WindowWidth=[80, 1500]).window == (40.0, 80.0)
    # 0..255 without a window: the 0.5th percentile is 255 * 0.005 = 1.275, the 99.5th 253.725.
    assert display().window == pytest.approx((127.5, 252.45))
    assert display(RAMP.astype(np.uint8)).window == (127.5, 255.0)  # shades already
    assert display(np.full((4, 4), 7, np.int16)).window == (7.0, 1.0)
    assert display(PhotometricInterpretation="MONOCHROME1").inverted
    colours = reencode(written(colour_scan(np.zeros((4, 4, 3), np.uint8)))).display
    assert colours is not None
    assert colours.window is None


def test_frames_that_differ_have_no_sides_in_common() -> None:
    def groups(*orientations: list[float]) -> list[Dataset]:
        each = []
        for cosines in orientations:
            plane, group = Dataset(), Dataset()
            plane.ImageOrientationPatient = cosines
            group.PlaneOrientationSequence = [plane]
            each.append(group)
        return each

    stack, axial, coronal = np.stack([RAMP, RAMP]), [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1]
    name = "PerFrameFunctionalGroupsSequence"
    assert display(stack, **{name: groups(axial, axial)}).sides == ("R", "L", "A", "P")
    assert display(stack, **{name: groups(axial, coronal)}).sides is None
    assert display(stack, FrameTime=40).rate == 25.0
    assert display(stack, CineRate=12, FrameTime=40).rate == 12.0
