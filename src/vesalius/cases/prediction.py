"""A prediction: an answer with its confidence and evidence, and all that scoring it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, get_type_hints

from pydantic import ConfigDict, Discriminator, Tag, TypeAdapter, ValidationError

from vesalius.cases.case import Answer, Kind
from vesalius.cases.dialogue import Dialogue
from vesalius.errors import DatasetError, RunError

ROW = "a row has id, answer and references, and where known question, group, category and kind"


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure a model says it is, in [0, 1], and how that number was made."""

    value: float
    method: str

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise DatasetError(f"a confidence lies in [0, 1], not at {self.value}")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A retrieved case: its id, the cosine similarity of the pictures, and what was said of it."""

    case: str
    similarity: float
    picture: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class MemberAnswer:
    """What one member of a combination answered: who said what."""

    member: str
    answer: Answer
    confidence: Confidence | None = None
    abstained: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """A judge's reason for what it decided, with its score if it gave one."""

    judge: str
    text: str
    score: float | None = None


def _kind(evidence: Any) -> str:
    """Which evidence a row holds, by the field that only that kind has."""
    if isinstance(evidence, Mapping):
        return next((name for name in ("member", "judge") if name in evidence), "case")
    return {MemberAnswer: "member", Reason: "judge"}.get(type(evidence), "case")


Evidence = Annotated[
    Annotated[Neighbour, Tag("case")]
    | Annotated[MemberAnswer, Tag("member")]
    | Annotated[Reason, Tag("judge")],
    Discriminator(_kind),
]
"""What an answer rests on. In a row the fields tell which: ``case``, ``member`` or ``judge``."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written, and seconds spent; shared work is divided among its dialogues."""

    prompt_tokens: int = 0
    image_tokens: int = 0
    new_tokens: int = 0
    seconds: float = 0.0


OF_THE_ANSWER = (
    "confidence", "scores", "evidence", "abstained", "finish", "usage", "notes",
    "operating_point",
)  # fmt: skip
"""What a prediction holds of the answer itself; the rest is its dialogue's."""


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
    evidence: tuple[Evidence, ...] = ()
    abstained: bool = False
    finish: str | None = None
    usage: Usage | None = None
    dataset: str | None = None
    """The data set's name, where a recipe mixes several."""
    notes: Mapping[str, int] | None = None
    """What was counted of this answer: of a combination (``{"shots": 2}``), or what of the text is
    no box (``{"unread_box_order": 1}``). A run adds them up."""
    operating_point: float | None = None
    """The score from which a box of the answer is shown, chosen on validation; None: not chosen."""

    @classmethod
    def of(cls, dialogue: Dialogue, answer: Answer, **fields: Any) -> Prediction:
        """The prediction for ``dialogue``: its question, references and provenance copied in."""
        question, picture = dialogue.question, dialogue.picture
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
            dataset=dialogue.dataset,
            picture=None if picture is None else picture.key,
            **fields,
        )

    def as_of(self, dialogue: Dialogue) -> Prediction:
        """What was answered, as the answer to ``dialogue``: its question, references, provenance.

        For answers that were given to the same question in other words or surroundings.
        """
        given = {name: getattr(self, name) for name in OF_THE_ANSWER}
        return Prediction.of(dialogue, self.answer, **given)

    def at_operating_point(self) -> Prediction:
        """The same with the boxes at or above its operating point, which are those to be shown.

        Where no point was chosen, or a box has no score, that is all of them.
        """
        point, boxes = self.operating_point, self.answer.boxes
        if point is None or boxes is None:
            return self
        visible = tuple(box for box in boxes if box.score is None or box.score >= point)
        return replace(self, answer=replace(self.answer, boxes=visible))

    @property
    def text(self) -> str:
        """The answer's text; empty where the answer has none."""
        return self.answer.text or ""

    @property
    def neighbours(self) -> tuple[Neighbour, ...]:
        """The similar cases among the evidence, the most similar first."""
        return tuple(one for one in self.evidence if isinstance(one, Neighbour))

    @property
    def member_answers(self) -> tuple[MemberAnswer, ...]:
        """What each member of a combination answered, in the members' order."""
        return tuple(one for one in self.evidence if isinstance(one, MemberAnswer))

    def to_row(self) -> dict[str, Any]:
        """The prediction as JSON-ready data; fields at their default are left out."""
        defaults = {f.name: f.default for f in fields(self)}
        row = asdict(self)
        return {k: _without_none(v) for k, v in row.items() if v != defaults[k]}

    @classmethod
    def from_row(cls, row: Mapping[str, Any], *, where: object = None) -> Prediction:
        """A prediction from :meth:`to_row`'s data, ours or anyone's; RunError names the field.

        An answer may be its bare text; a field that is null counts as left out.
        """
        fields = {name: _read(name, v, where) for name, v in row.items() if v is not None}
        for name in ("id", "answer"):
            if name not in fields:
                hint = 'an answer that was not given is ""' if name == "answer" else None
                raise RunError(f"not a prediction row: there is no {name}", where=where, hint=hint)
        return cls(**fields)


def _without_none(value: Any) -> Any:
    # An empty tuple of boxes means "none present" and must survive the journey; False, as None, is
    # what the fields that have it are without it.
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None and v is not False}
    if isinstance(value, list | tuple):
        return [_without_none(v) for v in value]
    return value


def _read(name: str, value: Any, where: object) -> Any:
    """A row's field as its type; RunError names the part of it that is something else."""
    known = _fields()
    if name not in known:
        close = get_close_matches(name, known, n=1, cutoff=0.9)
        hint = f"did you mean {close[0]}?" if close else ROW
        fault = f"not a prediction row: there is no field {name!r}"
        raise RunError(fault, where=where, hint=hint)
    if name == "answer":
        value = _worded(value, name, where)
    elif name == "references" and isinstance(value, list | tuple):
        value = [_worded(one, f"{name}.{at}", where) for at, one in enumerate(value)]
    try:
        return known[name].validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        at = list(first["loc"])
        if name == "evidence":
            del at[1:2]  # the tag of its kind, which no row has
        place = ".".join(str(part) for part in (name, *at))
        what = first["msg"].replace("Input", "it").replace("a valid tuple", "a list")
        raise RunError(f"not a prediction row: {place}: {what}", where=where) from error
    except DatasetError as error:
        raise RunError(f"not a prediction row: {name}: {error.what}", where=where) from error


@lru_cache(maxsize=1)
def _fields() -> dict[str, TypeAdapter[Any]]:
    # "or None" lets the configuration reach the nouns inside: they refuse unknown keys, too.
    strict = ConfigDict(extra="forbid")
    hints = get_type_hints(Prediction, include_extras=True)
    return {name: TypeAdapter(hint | None, config=strict) for name, hint in hints.items()}


def _worded(answer: Any, place: str, where: object) -> Any:
    """The fields of an answer that may be its bare text; RunError for a number, NaN, true or null.

    As a program writes an absent value it must not count as something said.
    """
    if answer is None or isinstance(answer, int | float):
        what = {type(None): "null", bool: "true or false"}.get(type(answer), "a number")
        raise RunError(
            f"not a prediction row: {place}: it should be a dictionary or text, and is {what}",
            where=where,
            hint='write text ("yes", "2.5"); an answer that was not given is ""',
        )
    return {"text": answer} if isinstance(answer, str) else answer
