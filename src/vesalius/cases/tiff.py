"""TIFF as its tags say it: WhiteIsZero, unsigned and signed samples at any depth (TIFF 6.0).

Pillow turns WhiteIsZero round at up to 8 bits alone, and reads unsigned samples of 32 bits, and
signed ones of 8, with the wrong sign; some of these it does not read at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT

from vesalius.errors import ImageError

_WHITE_IS_ZERO, _BLACK_IS_ZERO = 0, 1
_UNSIGNED, _SIGNED = 1, 2
# libtiff gives its samples in the machine's order; these modes would turn them round once more.
_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}


class Tiff(TiffImagePlugin.TiffImageFile):
    """A TIFF at one of its pages; ``inverted`` and ``samples`` are of that page.

    ``inverted``: its highest value is black, and Pillow has not turned it round. ``samples``: what
    its values are to be read as, where that is not what Pillow's mode says.
    """

    inverted = False
    samples: type[np.generic] | None = None

    def _setup(self) -> None:
        bits = self.tag_v2.get(BITSPERSAMPLE, (1,))
        sort = self.tag_v2.get(SAMPLEFORMAT, (_UNSIGNED,))
        meaning = self.tag_v2.get(PHOTOMETRIC_INTERPRETATION, _WHITE_IS_ZERO)
        grey = len(bits) == 1 and meaning in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
        depth = bits[0] if grey else 0
        deep = depth > 8 or (depth == 8 and sort[0] == _SIGNED)
        self.inverted, self.samples = deep and meaning == _WHITE_IS_ZERO, None
        if self.inverted:
            self.tag_v2[PHOTOMETRIC_INTERPRETATION] = _BLACK_IS_ZERO
        if depth == 32 and sort[0] == _UNSIGNED:
            self.samples = np.uint32
            self.tag_v2[SAMPLEFORMAT] = (_SIGNED,)
        elif depth == 8 and sort[0] == _SIGNED:
            self.samples = np.int8
        try:
            super()._setup()
        except SyntaxError as error:
            raise ImageError(
                "image_corrupt",
                "a TIFF with this number, depth or kind of samples is not read",
                hint="save it with 8 or 16 bits a sample",
            ) from error
        self.tile = [_in_order(tile) for tile in self.tile]


def _in_order(tile: Any) -> Any:
    if tile.codec_name != "libtiff" or not isinstance(tile.args, tuple):
        return tile
    mode, *others = tile.args
    return tile._replace(args=(_NATIVE.get(mode, mode), *others))


def samples_of(file: Image.Image, picture: Image.Image) -> tuple[np.ndarray, bool] | None:
    """The values of a deep or signed ``picture`` read from ``file``, and whether high is black.

    None where its mode holds shades of 8 bits or colours.
    """
    kind = file.samples if isinstance(file, Tiff) else None
    if kind is None and not (picture.mode.startswith("I") or picture.mode == "F"):
        return None
    values = np.asarray(picture)
    inverted = isinstance(file, Tiff) and file.inverted
    return (values if kind is None else values.view(kind)), inverted
