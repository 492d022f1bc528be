"""Text and bar codes burned into the pixels, found and blacked out."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_color_lut, pack_bits, pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian, SegmentationStorage

from vesalius.cases.dicom import decode_dicom
from vesalius.cases.dicom_frames import PIXELS
from vesalius.cases.view import View
from vesalius.data.deidentify import operators
from vesalius.data.deidentify.clean import Cleaner
from vesalius.data.deidentify.pixels import LIMITS
from vesalius.errors import ImageError

ROUNDS = 3
"""Small text beside large text may be read only once the large is gone."""
MARGIN = 2
"""Pixels around each box, since letters reach a little beyond it."""


def redact_text(output: Dataset, syntax: UID, cleaner: Cleaner, codes: bool = False) -> UID:
    """Black out what is read as text in any frame, and bar codes.

    With ``codes`` all that looks like a code, else only what is one for sure. Returns the transfer
    syntax the pixels are now in. Frames are looked at through the header's own window. An image
    without text and codes keeps its pixels and their compression; segments are not looked at.
    Raises ImageError where some remains after three rounds, and MissingExtra without the extra
    ``ocr``.
    """
    # Segments are outlines of anatomy; other pictures of single bits are scanned sheets.
    if output.SOPClassUID == SegmentationStorage or not any(name in output for name in PIXELS):
        return syntax
    frames = int(output.get("NumberOfFrames") or 1)
    for _ in range(ROUNDS):
        data = _file(output, syntax)
        regions = {frame: text for frame in range(frames) if (text := _text(data, frame, codes))}
        if not regions:
            output.add(operators.element(0x00280301, "CS", "NO"))
            return syntax
        _redact(data, output, regions)
        cleaner.tally["C", "PixelData burned-in text"] += sum(map(len, regions.values()))
        syntax = ExplicitVRLittleEndian
    raise ImageError("text_left", "text is still read in the pixels after it was covered")


def _file(output: Dataset, syntax: UID) -> bytes:
    file = BytesIO()
    output.file_meta = FileMetaDataset()
    output.file_meta.TransferSyntaxUID = syntax
    output.file_meta.MediaStorageSOPClassUID = output.SOPClassUID
    output.file_meta.MediaStorageSOPInstanceUID = output.SOPInstanceUID
    pydicom.dcmwrite(file, output, enforce_file_format=True)
    return file.getvalue()


def _text(data: bytes, frame: int, codes: bool) -> Sequence[Any]:
    from vesalius.data.bar_codes import find_bar_codes
    from vesalius.data.burned_in import find_text

    image = decode_dicom(data, View(frame), limits=LIMITS).image
    return [*find_text(image), *find_bar_codes(image, sure=not codes)]


def _redact(data: bytes, output: Dataset, texts: dict[int, Sequence[Any]]) -> None:
    file = pydicom.dcmread(BytesIO(data))
    grey = int(file.SamplesPerPixel) == 1
    pixels = pixel_array(file, raw=grey)
    frames = pixels if int(file.get("NumberOfFrames") or 1) > 1 else pixels[None]
    frames = frames.copy()
    for number, regions in texts.items():
        black = _black(file, frames[number]) if grey else 0
        for region in regions:
            top, left = max(region.y - MARGIN, 0), max(region.x - MARGIN, 0)
            bottom, right = region.y + region.height + MARGIN, region.x + region.width + MARGIN
            frames[number, top:bottom, left:right] = black
    if int(file.BitsAllocated) == 1:
        content = pack_bits(frames.reshape(-1), pad=True)
    else:
        content = frames.astype(frames.dtype.newbyteorder("<"), copy=False).tobytes()
        content += b"\0" * (len(content) % 2)
    name = next(name for name in PIXELS if name in output)
    words = output[name].VR if frames.dtype.kind == "f" else "OW" if frames.itemsize > 1 else "OB"
    output.add(operators.element(output[name].tag, words, content))
    if not grey:
        output.PhotometricInterpretation, output.PlanarConfiguration = "RGB", 0


def _black(file: Dataset, frame: np.ndarray) -> Any:
    """The darkest value that the frame holds, as it is shown."""
    interpretation = str(file.PhotometricInterpretation)
    if interpretation == "PALETTE COLOR":
        light = apply_color_lut(frame, file)[..., :3].sum(axis=-1)
        return frame.flat[int(light.argmin())]
    return np.nanmax(frame) if interpretation == "MONOCHROME1" else np.nanmin(frame)
