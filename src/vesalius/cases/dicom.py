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

import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, get_decoder
from pydicom.uid import RLELossless

from vesalius.cases.decoded import DEFAULT_LIMITS, Decoded, Limits
from vesalius.cases.dicom_display import window_of
from vesalius.cases.dicom_elements import frame_count, invalid, label, raw_value, whole
from vesalius.cases.dicom_frames import PIXELS, check_frames, has_surplus, misplaced, stored_values
from vesalius.cases.dicom_grey import grey_shades
from vesalius.cases.headers import codestream_size
from vesalius.cases.inflation import inflated
from vesalius.cases.view import DicomWindow, View
from vesalius.errors import ImageError, install_command

GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
# The defined terms (PS3.3 C.7.3.1.1.1): anything else in that field may be anything, a name too.
_MODALITIES = (  # noqa: SIM905
    "ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID "
    "GM HC HD IO IOL IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV "
    "OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD "
    "RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA XAPROTOCOL XC "
).split()
_PALETTES = tuple(
    f"{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for part in ("Descriptor", "Data")
)


def decode_dicom(data: bytes, view: View, *, limits: Limits) -> Decoded:
    """One frame as 8-bit RGB; the middle one (``frames // 2``) where the view names none.

    Its window is (centre, width) in modality units, e.g. Hounsfield. Without it the file's first
    window is used, else its VOI table, else a range of the values, with a warning
    (:mod:`vesalius.cases.dicom_grey`). Raises ImageError.
    """
    frame, window = view.frame, view.window
    if window is not None and not (window[1] > 0 and all(map(math.isfinite, window))):
        raise ImageError("image_window", "a window needs a finite centre and a width above 0")
    file, odd = read_dicom(data)
    with refusing_dicom():
        frames = check_header(file, limits)
        chosen = _choose(frame, frames)
        check_syntax(file, range(chosen, chosen + 1), frames)
        notes = [*odd, *_remarks(file, frame, chosen, frames)]
        values = stored_values(file, chosen)
        if file.PhotometricInterpretation in GREY:
            pixels, remarks = grey_shades(file, values, chosen, window)
            notes += remarks
        else:
            pixels = colour(file, values)
            if pixels.min() == pixels.max() and values.min() < values.max():
                notes.append("the colours' stated bits show the whole picture in one shade")
    image = Image.fromarray(pixels).convert("RGB")
    return Decoded(
        image, "dicom", *image.size, frames=frames, modality=modality(file), warnings=tuple(notes)
    )


def dicom_size(data: bytes, limits: Limits) -> tuple[int, int]:
    """Width and height of every frame, from the header; ImageError."""
    file, _ = read_dicom(data)
    with refusing_dicom():
        check_header(file, limits)
    return int(file.Columns), int(file.Rows)


def dicom_window(data: bytes, frame: int | None, limits: Limits) -> DicomWindow | None:
    """The modality, and (centre, width) of a frame's own view; None in colour; ImageError."""
    file, _ = read_dicom(data)
    with refusing_dicom():
        chosen = _choose(frame, check_header(file, limits))
        if file.PhotometricInterpretation not in GREY:
            return None
        return DicomWindow(modality(file), *window_of(file, chosen))


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


def read_dicom(data: bytes) -> tuple[pydicom.FileDataset, tuple[str, ...]]:
    """The header and what it holds, unchecked, and remarks; ImageError where it cannot be read.

    A deflated file is unpacked as far as ``DEFAULT_LIMITS`` allows files of one's own to be.
    """
    plain, remarks = inflated(data, DEFAULT_LIMITS.max_bytes)
    try:
        file = pydicom.dcmread(BytesIO(plain))
        syntax = file.file_meta.get("TransferSyntaxUID")
        fields = len(file)
    except Exception as error:
        raise ImageError("dicom_invalid", "the DICOM header cannot be read") from error
    if not syntax or not fields:
        raise ImageError("dicom_invalid", "the DICOM header is cut short or names no syntax")
    return file, remarks


_RESAVE = "save it as Explicit VR Little Endian"


def check_header(file: pydicom.Dataset, limits: Limits) -> int:
    """The number of frames, after the claimed sizes have passed; nothing is allocated yet.

    ``file`` then says that number as a whole one. An ImageError names the element at fault.
    """
    if not any(name in file for name in PIXELS):
        raise ImageError("dicom_no_pixels", "this DICOM object holds no picture")
    rows, columns = (whole(file, name, range(2**16)) for name in ("Rows", "Columns"))
    limits.check_size(columns, rows)
    frames = frame_count(raw_value(file, "NumberOfFrames"))
    limits.check_frames(frames)
    _check_description(file)
    if frames > 1 or "NumberOfFrames" in file:
        file.NumberOfFrames = frames
    check_frames(file, frames)
    return frames


def _check_description(file: pydicom.Dataset) -> None:
    colours = str(file.get("PhotometricInterpretation", ""))
    if colours not in (*GREY, *_COLOUR, "PALETTE COLOR"):
        raise invalid("PhotometricInterpretation", "is missing or none that is read here")
    samples = whole(file, "SamplesPerPixel", (1, 3))
    if samples != (3 if colours in _COLOUR else 1):
        raise invalid("SamplesPerPixel", "does not go with the photometric interpretation")
    if samples == 3:
        whole(file, "PlanarConfiguration", (0, 1))
    allocated = whole(file, "BitsAllocated", (1, 8, 16, 32, 64))
    if "PixelData" in file:
        whole(file, "BitsStored", range(1, allocated + 1))
        whole(file, "PixelRepresentation", (0, 1))
    if colours == "PALETTE COLOR":
        for name in _PALETTES:
            if not any(form + name in file for form in ("", "Segmented")):
                raise invalid(name, "is missing")


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
            hint=f"try: {install_command('dicom')}",
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
    if misplaced(file):
        remarks.append(f"{label('HighBit')} does not go with the stored bits: the lowest are shown")
    if has_surplus(file, frames):
        remarks.append("the pixel data holds more than the header describes: the rest is left out")
    return remarks


def colour(file: pydicom.Dataset, values: np.ndarray) -> np.ndarray:
    """RGB in 8 bit; YBR is converted by the decoder, palettes here, 16-bit colours shifted."""
    bits = int(file.BitsStored)
    if file.PhotometricInterpretation == "PALETTE COLOR":
        try:
            values = apply_color_lut(values, file)[..., :3]
        except Exception as error:
            fault = f"the palette of {label(_PALETTES[0])} and those after it cannot be read"
            raise ImageError("dicom_invalid", fault) from error
        bits = 8 * values.dtype.itemsize
    rgb: np.ndarray = (values >> max(bits - 8, 0)).astype(np.uint8)
    return rgb
