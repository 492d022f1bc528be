"""Deflated DICOM is read, and unpacked no further than is allowed."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian
from scans import SECRETS, scan, written

from vesalius.cases.decoded import DEFAULT_LIMITS, Limits
from vesalius.cases.image import decode
from vesalius.cases.inflation import NOT_DEFLATED, inflated
from vesalius.cases.reencode import reencode
from vesalius.errors import ImageError

STEPS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def deflated(made: Dataset) -> bytes:
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return written(made)


def split(data: bytes) -> tuple[bytes, bytes]:
    """The meta information, and the data set that follows."""
    end = 144 + int.from_bytes(data[140:144], "little")
    return data[:end], data[end:]


def test_a_deflated_file_is_shown_as_the_plain_one():
    found = decode(deflated(scan(STEPS)))
    assert np.array_equal(np.asarray(found.image)[..., 0], STEPS)
    assert found.warnings == ()
    kept = reencode(deflated(scan(STEPS)))
    assert np.array_equal(np.asarray(decode(kept.data).image), np.asarray(found.image))


def test_a_file_that_only_names_the_syntax_is_read_and_said():
    meta, packed = split(deflated(scan(STEPS)))
    named = meta + zlib.decompress(packed, -zlib.MAX_WBITS)
    assert decode(named).warnings == reencode(named).warnings == (NOT_DEFLATED,)
    assert np.array_equal(np.asarray(decode(named).image)[..., 0], STEPS)


def test_a_file_that_only_mentions_the_syntax_is_as_it_was():
    data = written(scan(STEPS, DerivationDescription=str(DeflatedExplicitVRLittleEndian)))
    assert inflated(data, 10) == (data, ())
    assert decode(data).frames == 1


def test_inflating_is_bounded():
    meta, _ = split(deflated(scan(STEPS)))
    bomb = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = b"".join(bomb.compress(bytes(2**20)) for _ in range(300)) + bomb.flush()
    assert len(packed) < 2**19 < DEFAULT_LIMITS.max_bytes < 300 * 2**20
    for reading in (decode, reencode):
        with pytest.raises(ImageError) as caught:
            reading(meta + packed, limits=Limits(max_bytes=2**20))
        assert caught.value.code == "image_too_large"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda packed: packed[: len(packed) // 2], "image_truncated"),
        (lambda packed: b"\xff" * 40 + packed, "image_corrupt"),
        (lambda _: b"", "image_truncated"),
    ],
)
def test_what_cannot_be_unpacked_says_so(change, code):
    meta, packed = split(deflated(scan(STEPS)))
    with pytest.raises(ImageError) as caught:
        decode(meta + change(packed))
    assert caught.value.code == code
    assert "deflated" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in SECRETS)
