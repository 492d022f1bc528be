"""Judges of de-identified files: what is kept, in elements and raw bytes, and what is refused."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import Any

import pydicom
from field_judges import Bench, Case, has, last, need

from vesalius.cases.image import decode


def deidentified(bench: Bench, where: str, *flags: str) -> tuple[int, str, list[Path]]:
    new = bench.new()
    code, said = bench.vesalius("deidentify", where, new, "--workers", "1", *flags)
    return code, said, sorted(new.rglob("*.dcm"))


def one_clean(bench: Bench, case: Case) -> tuple[Any, Any]:
    """The data sets before and after: one file out, its pixels as they were, no name in it."""
    warnings.simplefilter("ignore")  # pydicom's, of values that the cases are about
    code, said, files = deidentified(bench, case["inputs"][0])
    need(code == 0 and len(files) == 1, f"exit {code}, {len(files)} files: {last(said)}")
    before = pydicom.dcmread(bench.data / case["inputs"][0] / "a.dcm", force=True)
    after = pydicom.dcmread(files[0])
    need(after.PixelData == before.PixelData, "other pixels")
    names = persons(before)
    raw = files[0].read_bytes()
    for name in names:
        for encoding in ("latin-1", "utf-16-le", "utf-16-be"):
            need(name.encode(encoding) not in lower(raw), f"a name in the bytes ({encoding})")
        for element in after.iterall():
            if element.keyword != "PixelData":
                need(name not in str(element.value).casefold(), f"a name in {element.keyword}")
    return before, after


def lower(raw: bytes) -> bytes:
    return raw.lower()  # ASCII alone, and in UTF-16 too: its other byte is zero


def persons(data: Any) -> set[str]:
    """Parts (>= 3 letters) of every person's name in the file, placeholders apart."""
    texts = [str(element.value) for element in data.iterall() if element.VR == "PN"]
    parts = {part.casefold() for text in texts for part in re.findall(r"[^\W\d_]{3,}", text)}
    return {part for part in parts if len(set(part)) > 1}


def no_name(bench: Bench, case: Case) -> str:
    path = bench.data / case["inputs"][0] / "a.dcm"
    before = pydicom.dcmread(path, force=True)
    elsewhere = [e for e in before.iterall() if e.VR != "PN" and e.keyword != "PixelData"]
    texts = " ".join(str(element.value) for element in elsewhere).casefold()
    need(any(name in texts for name in persons(before)), "the case plants no name")
    one_clean(bench, case)
    return f"none of {len(persons(before))} parts of names in elements or bytes"


def shows_identity(bench: Bench, case: Case) -> str:
    for flags in ((), ("--clean-pixels",)):
        code, said, files = deidentified(bench, case["inputs"][0], *flags)
        need(code == 2 and not files, f"exit {code}, {len(files)} files")
        has(said, r"shows_\w+", "--allow")
    return f"exit 2: {last(said)}"


def whole_object(bench: Bench, case: Case) -> str:
    """What is kept still means the same: frames and kinds of the picture."""
    before, after = one_clean(bench, case)
    for keyword in ("NumberOfFrames", "ImageType"):
        need(before.get(keyword) == after.get(keyword), f"{keyword}: {after.get(keyword)}")
    made = [decode(pydicom_bytes(data)) for data in (before, after)]
    need(made[0].frames == made[1].frames, f"{made[1].frames} frames")
    return f"{after.get('NumberOfFrames', 1)} frames, ImageType {after.get('ImageType')}"


def pydicom_bytes(data: Any) -> bytes:
    out = io.BytesIO()
    data.save_as(out)
    return out.getvalue()


def no_alarm(bench: Bench, case: Case) -> str:
    _, after = one_clean(bench, case)
    need("XXXXX" not in str(after.get("PatientName", "")), "the placeholder is kept as a name")
    return "one file, pixels as they were"


def small_letters(bench: Bench, case: Case) -> str:
    where = bench.data / case["inputs"][0]
    code, said, files = deidentified(bench, str(where / "DICOMDIR"))
    need(code == 0 and len(files) == 2, f"exit {code}, {len(files)} files: {last(said)}")
    code, said = bench.vesalius("data", "check", "dicom", "--root", where / "DICOMDIR")
    need(code == 0, f"exit {code}: {last(said)}")
    has(said, "2 pictures, 0 errors", "im000000", "im000001")
    return "two files de-identified, two pictures read"


def bars(bench: Bench, _: Case) -> str:
    """A label that is let through: its bars are covered, or the file is refused."""
    where = "deid/E03_wsi_label"
    code, said, files = deidentified(bench, where, "--clean-pixels", "--allow", "label")
    if code == 2 and not files:
        return last(said)
    need(code == 0 and len(files) == 1, f"exit {code}: {last(said)}")
    before = pydicom.dcmread(bench.data / where / "a.dcm").pixel_array
    after = pydicom.dcmread(files[0]).pixel_array
    changed = float((before != after).mean())
    need(changed > 0.02, f"{changed:.1%} of the pixels covered")
    return f"{changed:.1%} of the pixels covered"
