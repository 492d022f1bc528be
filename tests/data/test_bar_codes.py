"""Codes are found where they are; shades, noise and rulers are none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vesalius.data.bar_codes import find_bar_codes

cv2 = pytest.importorskip("cv2", reason="needs the extra ocr")


def ground(size: int = 320) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    return (200 - 260 * np.hypot(rows, columns)).clip(20).astype(np.uint8)


def bars(module: int, modules: int = 60) -> np.ndarray:
    runs = np.random.default_rng(module).integers(1, 4, modules // 2) * module
    line = np.concatenate([np.full(run, 255 * (at % 2)) for at, run in enumerate(runs)])
    return np.tile(line.astype(np.uint8), (40, 1))


def matrix(module: int) -> np.ndarray:
    cells = np.random.default_rng(module).integers(0, 2, (22, 22)).astype(np.uint8) * 255
    return np.kron(cells, np.ones((module, module), np.uint8))


CODES = [*map(bars, (1, 2, 3)), *map(matrix, (2, 4, 6, 10))]


def qr() -> np.ndarray:
    cells = cv2.QRCodeEncoder.create().encode("DOE^JANE 19700101")
    return np.pad(np.kron(cells, np.ones((4, 4), np.uint8)), 8, constant_values=255)


SURE = [
    *((code, True) for code in (*map(bars, (1, 2, 3)), qr())),
    *((code, False) for code in CODES),
]


@pytest.mark.parametrize(("code", "sure"), SURE)
@pytest.mark.parametrize("lying", [False, True])
def test_a_code_is_found_where_it_is(code: np.ndarray, sure: bool, lying: bool) -> None:
    code = code.T if lying else code
    picture = ground()
    height, width = code.shape
    picture[30 : 30 + height, 50 : 50 + width] = code
    covered = np.zeros(picture.shape, bool)
    for box in find_bar_codes(Image.fromarray(picture), sure=sure):
        covered[box.y : box.y + box.height, box.x : box.x + box.width] = True
    assert covered[30 : 30 + height, 50 : 50 + width].mean() > 0.9
    covered[10 : 50 + height, 30 : 70 + width] = False
    assert covered.mean() < 0.1


@pytest.mark.parametrize(
    "picture",
    [
        ground(),
        np.zeros((64, 64), np.uint8),
        np.random.default_rng(0).integers(0, 256, (256, 256)).astype(np.uint8),
        np.random.default_rng(0).normal(120, 20, (256, 256)).clip(0, 255).astype(np.uint8),
        np.where(np.arange(256) % 20 == 0, 255, 20) * np.ones((256, 1), np.uint8),
        np.full((10, 10), 7, np.uint8),
    ],
    ids=["shade", "black", "noise", "grain", "ruler", "small"],
)
def test_what_is_no_code(picture: np.ndarray) -> None:
    for sure in (False, True):
        assert find_bar_codes(Image.fromarray(picture.astype(np.uint8)), sure=sure) == ()


def test_text_and_cells_are_no_code_for_sure() -> None:
    """What is taken for a matrix on a label is no code where it may be anatomy."""
    picture = ground()
    picture[30:162, 50:182] = matrix(6)
    assert find_bar_codes(Image.fromarray(picture), sure=True) == ()
    assert find_bar_codes(Image.fromarray(picture)) != ()
