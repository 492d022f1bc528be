"""Cases as rows of a Hugging Face data set: columns whose types do not depend on the content.

Sources: https://huggingface.co/docs/datasets/image_dataset and, for pictures within Parquet files,
``datasets.features.Image`` (a struct of bytes and path, named in the schema's metadata).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from vesalius.cases.case import Box, Case
from vesalius.data.folder_format import to_row

_STRINGS = pa.list_(pa.string())
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_BOX = pa.struct(
    {
        "bbox": pa.list_(pa.float64()),
        "label": pa.string(),
        "polygons": pa.list_(pa.list_(pa.list_(pa.float64()))),
        "crowd": pa.bool_(),
    }
)
_QUESTION = pa.struct(
    {
        **dict.fromkeys(("id", "question", "category", "kind", "language", "system"), pa.string()),
        **dict.fromkeys(("answers", "options"), _STRINGS),
    }
)
COLUMNS: Mapping[str, pa.DataType] = {
    "id": pa.string(),
    "group": pa.string(),
    "caption": pa.string(),
    "modality": pa.string(),
    "concepts": _STRINGS,
    "boxes": pa.list_(_BOX),
    "questions": pa.list_(_QUESTION),
    "context": pa.string(),
}
"""Of a case, beside its pictures. The context is JSON, as its keys are the set's own."""


class HubRows:
    """The rows of one data set: ``columns`` are those that any of its cases fills.

    ``several``: whether a row has a list of pictures. What a row does not hold is counted in
    ``losses``, in words.
    """

    def __init__(self, columns: Sequence[str], *, several: bool) -> None:
        self.columns = tuple(columns)
        self.several = several
        self.losses: Counter[str] = Counter()

    def schema(self) -> pa.Schema:
        """Of Parquet files that hold the pictures; ``datasets`` shows these as pictures."""
        image: dict[str, Any] = {"_type": "Image"}
        if self.several:
            name, kind, feature = "images", pa.list_(_IMAGE), {"feature": image, "_type": "List"}
        else:
            name, kind, feature = "image", _IMAGE, image
        fields = {name: kind} | {column: COLUMNS[column] for column in self.columns}
        about = {"huggingface": json.dumps({"info": {"features": {name: feature}}})}
        return pa.schema(fields, metadata=about)

    def parquet(self, case: Case, names: Sequence[str], data: Sequence[bytes]) -> dict[str, Any]:
        """The row with its pictures' bytes, as :meth:`schema` types it."""
        images = [{"bytes": b, "path": name} for name, b in zip(names, data, strict=True)]
        held = {"images": images} if self.several else {"image": images[0]}
        return held | self._content(case)

    def metadata(self, case: Case, names: Sequence[str]) -> dict[str, Any]:
        """The row of ``metadata.jsonl``: text alone, lists as JSON within it.

        ``datasets`` takes each file's types from its first rows, and refuses files that differ: a
        list that is empty in one split, or a value that is null there, would be of another type.
        """
        held = {"file_names": list(names)} if self.several else {"file_name": names[0]}
        return held | {name: _as_text(value) for name, value in self._content(case).items()}

    def _content(self, case: Case) -> dict[str, Any]:
        self._count_losses(case)
        whole = [replace(question, shows=()) for question in case.questions]
        row = to_row(replace(case, questions=tuple(whole)), ())
        row["context"] = (
            json.dumps(dict(case.context), ensure_ascii=False) if case.context else None
        )
        if case.boxes is not None:
            row["boxes"] = [_box(box) for box in case.boxes]
        return {name: row.get(name) for name in self.columns}

    def _count_losses(self, case: Case) -> None:
        for remark in case.remarks:  # what its reader did not read is not written either
            self.losses[f"times: {remark.what}"] += 1
        answers = [answer for question in case.questions for answer in question.answers]
        self.losses["answers without text"] += sum(answer.text is None for answer in answers)
        marked = sum(answer.boxes is not None for answer in answers if answer.text is not None)
        self.losses["answers' boxes"] += marked
        shows = sum(bool(question.shows) for question in case.questions)
        self.losses["questions' own pictures (all stand with the row)"] += shows


def columns_of(case: Case) -> set[str]:
    """The columns that a case fills."""
    filled = {name for name in COLUMNS if getattr(case, name) is not None}
    empty = {name for name in ("questions", "context") if not getattr(case, name)}
    return filled - empty


def _box(box: Box) -> dict[str, Any]:
    outlines = [[list(point) for point in outline] for outline in box.outlines]
    return {
        "bbox": [box.x, box.y, box.width, box.height],
        "label": box.label,
        "polygons": outlines or None,
        "crowd": box.crowd,
    }


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
