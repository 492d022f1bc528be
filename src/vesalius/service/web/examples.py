"""Pictures to try the page with: phantoms, drawn when asked for. No patient was ever in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO

import numpy as np

SEED = 7
PIXELS = 384
"""Edge of a drawn example."""
QUESTIONS = (
    "What kind of image is this?",
    "Which organ is shown?",
    "Is there anything abnormal?",
)
"""What may be asked of any picture, to begin with."""


@dataclass(frozen=True, slots=True)
class Example:
    """A picture to try: its name, what it shows, and its bytes once they are drawn."""

    name: str
    about: str
    draw: Callable[[], bytes]


def _phantom(family: str, seed: int) -> bytes:
    from vesalius.data.phantoms.render import png
    from vesalius.data.phantoms.scene import imagine

    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((SEED, seed))))
    return png(imagine(rng, family, build=0.0, pixels=PIXELS, difficulty=0.0))


def chest_ct(slices: int = 12, pixels: int = 256) -> bytes:
    """A DICOM object of axial chest slices in Hounsfield units; it holds no person's data."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    volume = np.stack([_slice(z, pixels) for z in np.linspace(-1, 1, slices)])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    file.Modality, file.PhotometricInterpretation = "CT", "MONOCHROME2"
    file.NumberOfFrames, file.Rows, file.Columns = volume.shape
    file.SamplesPerPixel, file.PixelRepresentation = 1, 1
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 16, 15
    file.RescaleIntercept, file.RescaleSlope = 0, 1
    file.WindowCenter, file.WindowWidth = 50, 400
    file.ImageOrientationPatient, file.PixelSpacing = [1, 0, 0, 0, 1, 0], [384 / pixels] * 2
    file.PixelData = volume.astype("<i2").tobytes()
    out = BytesIO()
    file.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _slice(z: float, pixels: int) -> np.ndarray:
    """One slice of a drawn thorax, in HU: fat, muscle, lungs with vessels, heart, spine, ribs."""
    rng = np.random.default_rng((SEED, round(100 * (z + 1))))
    y, x = np.mgrid[-1 : 1 : pixels * 1j, -1 : 1 : pixels * 1j]

    def inside(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        return np.asarray(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1)

    values = np.full(x.shape, -1000.0)
    values[inside(0, 0, 0.92, 0.68)] = -100  # fat
    values[inside(0, 0, 0.86, 0.62)] = 45  # muscle
    grown = 1 - 0.35 * z**2
    lungs = inside(-0.42, -0.04, 0.33 * grown, 0.46 * grown)
    lungs |= inside(0.42, -0.04, 0.33 * grown, 0.46 * grown)
    lungs &= ~inside(0.12, -0.16, 0.30, 0.26 + 0.08 * z)  # heart
    values[lungs] = -830
    for _ in range(26):  # vessels
        cx, cy, r = rng.uniform(-0.7, 0.7), rng.uniform(-0.4, 0.4), rng.uniform(0.008, 0.022)
        values[inside(cx, cy, r, r) & lungs] = 20
    if abs(z) < 0.5:  # a nodule in the right lung
        values[inside(-0.5, 0.12, 0.075, 0.07)] = 35
    values[inside(0.02, 0.06, 0.07, 0.07)] = 180  # aorta with contrast
    values[inside(0, 0.40, 0.13, 0.11)] = 350  # vertebra
    values[inside(0, 0.27, 0.06, 0.05)] = 30  # canal
    for angle in np.linspace(0, 2 * np.pi, 15)[:-1] + 0.3 * z:  # ribs
        cx, cy = 0.80 * np.cos(angle), 0.56 * np.sin(angle)
        values[inside(cx, cy, 0.055, 0.03)] = 620
    return np.asarray(values + rng.normal(0, 12, x.shape))


@lru_cache(maxsize=16)
def thumbnail(example: Example) -> bytes:
    """PNG of an example, small."""
    from vesalius.cases.image import decode

    image = decode(example.draw()).image
    image.thumbnail((248, 248))
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


EXAMPLES = (
    Example("Chest X-ray", "drawn, one picture", partial(_phantom, "chest_film", 3)),
    Example("Brain MRI", "drawn, T2-weighted", partial(_phantom, "head_mr_t2", 5)),
    Example("Abdominal CT", "drawn, one slice", partial(_phantom, "abdomen_ct", 2)),
    Example("Histology", "drawn, in colour", partial(_phantom, "histology", 4)),
    Example("Chest CT, DICOM", "drawn, 12 slices with windows", chest_ct),
)
"""In the order of the page."""
