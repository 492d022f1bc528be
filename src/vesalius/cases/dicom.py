"""DICOM to pixels: modality LUT, window, 8 bit, MONOCHROME1 inverted (PS3.3 C.11). Reads no names.

The header is believed only after it has been checked against the bytes: sizes before anything is
allocated, and the size inside a compressed frame against the one around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, get_decoder, pixel_array
from pydicom.uid import RLELossless

from vesalius.cases.decoded import Decoded, Limits
from vesalius.cases.headers import codestream_size
from vesalius.cases.view import View
from vesalius.errors import ImageError

# Inflating is unbounded, so a small file may ask for any amount of memory; the syntax is rare.
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
# The defined terms (PS3.3 C.7.3.1.1.1): anything else in that field may be anything, a name too.
_MODALITIES = (  # noqa: SIM905
    "ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID "
    "GM HC HD IO IOL IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV "
    "OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD "
    "RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA XAPROTOCOL XC "
).split()
_PERCENTILES = (0.5, 99.5)


def decode_dicom(data: bytes, view: View, *, limits: Limits) -> Decoded:
    """One frame as 8-bit RGB; the middle one (``frames // 2``) where the view names none.

    Its window is (centre, width) in modality units, e.g. Hounsfield. Without it the file's first
    window is used; without one, or with a width of 0, the range from the 0.5th to the 99.5th
    percentile, with a warning. Raises ImageError.
    """
    frame, window = view.frame, view.window
    if window is not None and not window[1] > 0:
        raise ImageError("image_window", "a window needs a width above 0")
    file = read_dicom(data)
    with refusing_dicom():
        frames = check_header(file, limits)
        chosen = _choose(frame, frames)
        check_syntax(file, range(chosen, chosen + 1), frames)
        notes = _remarks(file, frame, chosen, frames)
        values = pixel_array(file, index=chosen)
        if file.PhotometricInterpretation in GREY:
            pixels, remark = _grey(file, values, chosen, window)
            notes += remark
        else:
            pixels = colour(file, values)
    image = Image.fromarray(pixels).convert("RGB")
    return Decoded(
        image, "dicom", *image.size, frames=frames, modality=modality(file), warnings=tuple(notes)
    )


def dicom_size(data: bytes, limits: Limits) -> tuple[int, int]:
    """Width and height of every frame, from the header; ImageError."""
    file = read_dicom(data)
    check_header(file, limits)
    return int(file.Columns), int(file.Rows)


@contextmanager
def refusing_dicom() -> Iterator[None]:
    """Decoders fail in many ways on hostile bytes, and their messages may quote the header."""
    try:
        yield
    except (ImageError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # The RLE decoder is written in Rust: what it did not foresee is a panic, no Exception.
    except BaseException as error:
        raise ImageError("image_corrupt", "the DICOM pixel data cannot be decoded") from error


def modality(file: pydicom.Dataset) -> str | None:
    """The modality code (CT, MR ...); None where the field holds no defined term."""
    code = str(file.get("Modality", "") or "")
    return code if code in _MODALITIES else None


def read_dicom(data: bytes) -> pydicom.FileDataset:
    """The header and what it holds, unchecked; ImageError where it cannot be read."""
    if _DEFLATED in data:
        raise ImageError("dicom_transfer_syntax", "deflated DICOM is not read", hint=_RESAVE)
    try:
        file = pydicom.dcmread(BytesIO(data))
        syntax = file.file_meta.get("TransferSyntaxUID")
        fields = len(file)
    except Exception as error:
        raise ImageError("dicom_invalid", "the DICOM header cannot be read") from error
    if not syntax or not fields:
        raise ImageError("dicom_invalid", "the DICOM header is cut short or names no syntax")
    return file


_RESAVE = "save it as Explicit VR Little Endian"


def check_header(file: pydicom.Dataset, limits: Limits) -> int:
    """The number of frames, after the claimed sizes have passed; nothing is allocated yet."""
    if not any(name in file for name in _PIXELS):
        raise ImageError("dicom_no_pixels", "this DICOM object holds no picture")
    try:
        rows, columns = int(file.Rows), int(file.Columns)
        frames = int(file.get("NumberOfFrames") or 1)
        samples, bits = int(file.SamplesPerPixel), int(file.BitsAllocated)
        colours = str(file.PhotometricInterpretation)
    except (AttributeError, TypeError, ValueError) as error:
        raise ImageError("dicom_invalid", "the DICOM picture's description is broken") from error
    limits.check_size(columns, rows)
    limits.check_frames(frames)
    if frames < 1 or colours not in (*GREY, *_COLOUR, "PALETTE COLOR"):
        raise ImageError("dicom_invalid", "the DICOM picture's description is not supported")
    if not file.file_meta.TransferSyntaxUID.is_encapsulated:
        # YBR_FULL_422 stores two samples a pixel instead of three (PS3.3 C.7.6.3.1.2).
        stored = 2 if colours == "YBR_FULL_422" else samples
        have = max(len(file[name].value or b"") for name in _PIXELS if name in file)
        if have < (rows * columns * frames * stored * bits + 7) // 8:
            raise ImageError("image_truncated", "the DICOM pixel data is shorter than it claims")
    return frames


def _choose(frame: int | None, frames: int) -> int:
    if frame is None:
        return frames // 2
    if not 0 <= frame < frames:
        raise ImageError("image_frame", f"there is no frame {frame}: {frames}, counted from 0")
    return frame


def check_syntax(file: pydicom.Dataset, chosen: range, frames: int) -> None:
    """Refuse what no installed decoder reads, and a codestream larger than its header says."""
    syntax = file.file_meta.TransferSyntaxUID
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        raise ImageError(
            "dicom_transfer_syntax",
            "this DICOM compression (video, or private) is not read",
            hint=_RESAVE,
        ) from None
    if not available:
        raise ImageError(
            "dicom_transfer_syntax",
            f"no decoder for {syntax.name} is installed",
            hint="try: pip install 'vesalius[dicom]'",
        )
    if syntax.is_encapsulated and syntax != RLELossless:
        stored = generate_frames(file.PixelData, number_of_frames=frames)
        wanted = list(islice(stored, chosen.start, chosen.stop))
        if len(wanted) < len(chosen):
            raise ImageError("image_truncated", "the DICOM file holds fewer frames than it claims")
        if {codestream_size(one) for one in wanted} != {(int(file.Columns), int(file.Rows))}:
            raise ImageError(
                "dicom_invalid", "the compressed frame and its header disagree on size"
            )


def _remarks(file: pydicom.Dataset, frame: int | None, chosen: int, frames: int) -> list[str]:
    remarks = []
    if frame is None and frames > 1:
        remarks.append(f"frame {chosen} of {frames} (counted from 0) is used")
    if str(file.get("BurnedInAnnotation", "")).upper() == "YES":
        remarks.append("the header says that text is burned into the picture")
    return remarks


def _grey(
    file: pydicom.Dataset, stored: np.ndarray, frame: int, window: tuple[float, float] | None
) -> tuple[np.ndarray, list[str]]:
    values, remarks = _modality_values(file, stored, frame), []
    voi = frame_item(file, frame, "FrameVOILUTSequence")
    own = own_window(voi)
    if window is None and own is None and voi.get("VOILUTSequence"):
        shades = _linear(_looked_up(values, voi))
    elif window is None and (own is None or not own[1] > 0):
        if int(file.BitsAllocated) <= 8 and own is None:
            # A mask of one bit would be black on black.
            scale = 255 / (2 ** min(int(file.BitsStored), 8) - 1)
            shades = (values * np.float32(scale)).clip(0, 255)
        else:
            why = "no window" if own is None else "a window without a width above 0"
            remarks.append(f"{why} in the header: the 0.5th to 99.5th percentiles are shown")
            seen = values[stored != file.get("PixelPaddingValue")]
            low, high = np.percentile(seen if seen.size else values, _PERCENTILES)
            shades = _linear(values, float(low), float(high))
    else:
        shades = _windowed(values, window or own or (0.0, 1.0), voi_function(voi))
    grey = np.rint(shades).astype(np.uint8)
    return (255 - grey if file.PhotometricInterpretation == "MONOCHROME1" else grey), remarks


def frame_item(file: pydicom.Dataset, frame: int, name: str) -> pydicom.Dataset:
    """The data set that holds a frame's transformation: enhanced objects keep one per frame."""
    for groups, at in (
        ("PerFrameFunctionalGroupsSequence", frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        items = file.get(groups) or ()
        if at < len(items) and items[at].get(name):
            inner: pydicom.Dataset = items[at][name].value[0]
            return inner
    return file


def _modality_values(file: pydicom.Dataset, stored: np.ndarray, frame: int) -> np.ndarray:
    macro = frame_item(file, frame, "PixelValueTransformationSequence")
    if "ModalityLUTSequence" in macro:
        looked_up: np.ndarray = apply_modality_lut(stored, macro)
        return looked_up.astype(np.float32)
    slope, intercept = (macro.get(name) for name in ("RescaleSlope", "RescaleIntercept"))
    values: np.ndarray = stored.astype(np.float32)
    values *= np.float32(1 if slope is None else slope)
    values += np.float32(intercept or 0)
    return values


def _looked_up(values: np.ndarray, voi: pydicom.Dataset) -> np.ndarray:
    """Modality values in the VOI table; those beyond it take its ends (PS3.3 C.11.2.1.1)."""
    entries, first = voi.VOILUTSequence[0].LUTDescriptor[:2]
    inside = np.rint(values).clip(first, first + (entries or 2**16) - 1)
    output: np.ndarray = apply_voi(inside.astype(np.int32), voi)
    return output


def own_window(voi: pydicom.Dataset) -> tuple[float, float] | None:
    """The first window (centre, width), or None; several may be offered.

    One that is no pair of numbers has the width 0, as one that names none.
    """
    try:
        pair = [_first(voi.get(name)) for name in ("WindowCenter", "WindowWidth")]
        window = None if None in pair else (float(pair[0]), float(pair[1]))
    except (ValueError, OverflowError):  # words in a decimal string
        return 0.0, 0.0
    return window if window is None or all(map(math.isfinite, window)) else (0.0, 0.0)


def _first(value: Any) -> Any:
    several = not isinstance(value, str | bytes) and hasattr(value, "__len__")
    return (value[0] if len(value) else None) if several else value or (0 if value == 0 else None)


def voi_function(voi: pydicom.Dataset) -> str:
    """The window's function (PS3.3 C.11.2.1.3): LINEAR where none is named."""
    return str(voi.get("VOILUTFunction") or "LINEAR")


def _windowed(values: np.ndarray, window: tuple[float, float], function: str) -> np.ndarray:
    """Shades in [0, 255] by the window function of PS3.3 C.11.2.1.2 and .3."""
    centre, width = window
    if function == "SIGMOID":
        return np.asarray(255.0 / (1.0 + np.exp(np.clip(-4 * (values - centre) / width, -80, 80))))
    if function == "LINEAR_EXACT":
        return _linear(values, centre - width / 2, centre + width / 2)
    return _linear(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _linear(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    bottom = float(values.min()) if low is None else low
    top = float(values.max()) if high is None else high
    if not top > bottom:
        return np.where(values > top, 255.0, 0.0)
    shades: np.ndarray = (values.astype(np.float32) - bottom) * (255.0 / (top - bottom))
    return shades.clip(0.0, 255.0)


def colour(file: pydicom.Dataset, values: np.ndarray) -> np.ndarray:
    """RGB in 8 bit; YBR is converted by the decoder, palettes here, 16-bit colours shifted."""
    bits = int(file.BitsStored)
    if file.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, file)[..., :3]
        bits = 8 * values.dtype.itemsize
    rgb: np.ndarray = (values >> max(bits - 8, 0)).astype(np.uint8)
    return rgb
