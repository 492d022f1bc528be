"""DICOM look-up tables of modality and VOI, with their stated bits and sign (PS3.3 C.11.1, .2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from vesalius.cases.dicom_elements import invalid

_WORDS = 2**16
_DESCRIPTOR, _DATA = 0x00283002, 0x00283006
ABOVE = "the look-up table holds values above its stated bits: they are shown white"


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers of ``bits`` bits for the values ``first``, ``first`` + 1 ...; uint16."""

    numbers: np.ndarray
    first: int
    bits: int

    @property
    def top(self) -> int:
        """The highest number that the stated bits hold."""
        return int(2**self.bits - 1)

    def at(self, values: np.ndarray) -> np.ndarray:
        """The numbers for ``values`` (any shape); those beyond the table take its ends.

        What is no number takes the first.
        """
        places = np.nan_to_num(np.rint(values), nan=self.first) - self.first
        found: np.ndarray = self.numbers[places.clip(0, self.numbers.size - 1).astype(np.int32)]
        return found

    def item(self) -> Dataset:
        """The table as an item of a sequence, and not one number more than it declares."""
        output = Dataset()
        size, first = self.numbers.size % _WORDS, self.first % _WORDS
        output[_DESCRIPTOR] = DataElement(_DESCRIPTOR, "US", [size, first, self.bits])
        output[_DATA] = DataElement(_DATA, "OW", self.numbers.astype("<u2").tobytes())
        return output


def read_table(item: pydicom.Dataset, *, signed: bool) -> Table:
    """The table in an item of a sequence; ``signed``: whether values below 0 go in.

    The first value mapped is signed where they do, however it is written: writers beside
    signed pixels often state it as US. 0 entries are 65,536. Numbers of 8 bits may lie in a byte
    each. Raises ImageError, which names the element at fault.
    """
    try:
        entries, first, bits = (int(number) for number in item.LUTDescriptor)
    except (AttributeError, TypeError, ValueError) as error:
        raise invalid("LUTDescriptor", "is not three numbers") from error
    if not 1 <= bits <= 16:
        raise invalid("LUTDescriptor", "states no number of bits from 1 to 16")
    count, first = entries % _WORDS or _WORDS, first % _WORDS
    if signed and first >= _WORDS // 2:
        first -= _WORDS
    numbers = _words(item)
    if numbers.size < count <= 2 * numbers.size and bits <= 8:
        numbers = numbers.astype("<u2").view(np.uint8).astype(np.uint16)
    if numbers.size < count:
        raise invalid("LUTData", "has fewer numbers than its descriptor says")
    return Table(numbers[:count], first, bits)


def _words(item: pydicom.Dataset) -> np.ndarray:
    try:
        data = item["LUTData"]
        if isinstance(data.value, bytes):
            big = data.VR == "OW" and item.original_encoding[1] is False
            whole = data.value[: len(data.value) // 2 * 2]
            return np.frombuffer(whole, ">u2" if big else "<u2").astype(np.uint16)
        return (np.atleast_1d(np.array(data.value, np.int64)) % _WORDS).astype(np.uint16)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise invalid("LUTData", "is missing or no row of numbers") from error
