"""The persons whom a data set names, at any depth and in whatever it is that will be removed."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset

from vesalius.data.deidentify import operators
from vesalius.data.deidentify.names import Names


def persons(source: Dataset) -> Names:
    """The names in all PN elements (patients, physicians, operators ...), private ones too."""
    return Names.of(_written(source))


def _written(source: Dataset) -> Iterator[str]:
    waiting = [source]  # no recursion: a file nests as deep as it likes
    while waiting:
        dataset = waiting.pop()
        for tag in list(dataset.keys()):
            representation = _representation(dataset, int(tag))
            if representation not in {"PN", "SQ"}:
                continue
            try:
                element = dataset[tag]
                content = list(element.value if element.VR == "SQ" else operators.values(element))
            except Exception:  # noqa: BLE001, S112
                # A value that no reader makes sense of is not kept either; the check, which reads
                # by itself, looks for what it holds.
                continue
            if element.VR == "PN":
                yield from (str(one) for one in content)
            elif element.VR == "SQ":
                waiting.extend(content)


def _representation(dataset: Dataset, tag: int) -> str:
    known = str(dictionary_VR(tag)) if dictionary_has_tag(tag) else "UN"
    said = dataset.get_item(tag).VR
    return known if said in {None, "UN"} else str(said)
