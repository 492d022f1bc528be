"""A prediction: an answer with its confidence and evidence, and all that scoring it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from vesalius.cases.case import Answer, Box, Kind
from vesalius.cases.dialogue import Dialogue
from vesalius.errors import RunError


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure a model says it is, in [0, 1], and how that number was made."""

    value: float
    method: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A retrieved case: its id, the cosine similarity of the pictures, and what was said of it."""

    case: str
    similarity: float
    picture: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written, and seconds spent; shared work is divided among its dialogues."""

    prompt_tokens: int = 0
    image_tokens: int = 0
    new_tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered to one dialogue's last turn; the row is self-contained.

    ``scores`` maps labels to probabilities where the model has a closed label set. ``finish`` says
    why generation ended: ``stop``, ``length`` (cut at the token limit) or None (not generated).
    """

    id: str
    answer: Answer
    question: str = ""
    references: tuple[Answer, ...] = ()
    group: str = ""
    case: str = ""
    category: str | None = None
    kind: Kind | None = None
    options: tuple[str, ...] | None = None
    language: str = "en"
    modality: str | None = None
    picture: str | None = None
    confidence: Confidence | None = None
    scores: Mapping[str, float] | None = None
    evidence: tuple[Neighbour, ...] = ()
    abstained: bool = False
    finish: str | None = None
    usage: Usage | None = None

    @classmethod
    def of(cls, dialogue: Dialogue, answer: Answer, **said: Any) -> Prediction:
        """The prediction for ``dialogue``: its question, references and provenance copied in."""
        question, pictures = dialogue.question, dialogue.pictures
        return cls(
            id=dialogue.id,
            answer=answer,
            question=question.text,
            references=question.answers,
            group=dialogue.group,
            case=dialogue.case,
            category=question.category,
            kind=question.kind,
            options=question.options,
            language=question.language,
            modality=dialogue.modality,
            picture=pictures[-1].key if pictures else None,
            **said,
        )

    @property
    def text(self) -> str:
        """The answer's text; empty where the answer has none."""
        return self.answer.text or ""

    def to_row(self) -> dict[str, Any]:
        """The prediction as JSON-ready data; fields at their default are left out."""
        defaults = {f.name: f.default for f in fields(self)}
        row = asdict(self)
        return {k: _without_none(v) for k, v in row.items() if v != defaults[k]}

    @classmethod
    def from_row(cls, row: Mapping[str, Any], *, where: object = None) -> Prediction:
        """A prediction from :meth:`to_row`'s data, ours or anyone's; RunError names the field."""
        try:
            said = dict(row)
            said["answer"] = _answer(row["answer"])
            said["references"] = tuple(_answer(a) for a in row.get("references", ()))
            said["evidence"] = tuple(Neighbour(**n) for n in row.get("evidence", ()))
            for name, noun in (("confidence", Confidence), ("usage", Usage)):
                if row.get(name) is not None:
                    said[name] = noun(**row[name])
            if row.get("options") is not None:
                said["options"] = tuple(row["options"])
            return cls(**said)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"not a prediction row: {error}", where=where) from error


def _without_none(value: Any) -> Any:
    # Only None goes: an empty tuple of boxes means "none present" and must survive the journey.
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_without_none(v) for v in value]
    return value


def _answer(data: Mapping[str, Any] | str) -> Answer:
    if isinstance(data, str):
        return Answer(text=data)
    boxes = data.get("boxes")
    concepts = data.get("concepts")
    return Answer(
        text=data.get("text"),
        boxes=None if boxes is None else tuple(_box(b) for b in boxes),
        concepts=None if concepts is None else tuple(concepts),
    )


def _box(data: Mapping[str, Any]) -> Box:
    polygon = data.get("polygon")
    points = None if polygon is None else tuple((x, y) for x, y in polygon)
    return Box(**{**data, "polygon": points})
