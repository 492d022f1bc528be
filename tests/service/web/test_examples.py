"""The examples: drawn, different, readable by the one decoder, without anyone's data."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
import pytest

from vesalius.cases.image import decode
from vesalius.cases.view import View
from vesalius.service.web.examples import EXAMPLES, thumbnail


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.name)
def test_an_example_is_a_picture_with_a_thumbnail(example) -> None:
    found = decode(example.draw())
    assert np.asarray(found.image).std() > 20
    small = decode(thumbnail(example))
    assert max(small.width, small.height) <= 248


def test_the_dicom_example_shows_more_in_other_windows_and_frames() -> None:
    data = EXAMPLES[-1].draw()
    found = decode(data)
    assert (found.kind, found.modality, found.frames) == ("dicom", "CT", 12)
    lung = np.asarray(decode(data, View(None, (-600, 1500))).image)
    own = np.asarray(found.image)
    # Lung at -830 HU is black in the file's own window (from -150 HU) and grey in lung's.
    assert own[128, 60, 0] == 0
    assert 50 < lung[128, 60, 0] < 120
    assert not np.array_equal(own, np.asarray(decode(data, View(0)).image))


def test_the_dicom_example_names_nobody() -> None:
    file = pydicom.dcmread(BytesIO(EXAMPLES[-1].draw()))
    assert not [e.keyword for e in file if e.keyword.startswith(("Patient", "Institution"))]
    assert not file.walk(lambda _, e: None)
