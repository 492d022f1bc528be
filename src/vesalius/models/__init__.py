"""The registry of models, and the contracts its entries keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.recipe import Decoding
from vesalius.registry import Registry
from vesalius.run import Run

# Models made of models live in vesalius.combine; they are named here like any other entry and
# imported only when asked for, so this layer still knows nothing of that one.
models = Registry(
    "model",
    {
        "box_answers": "vesalius.combine.box_answers:BoxAnswers",
        "box_hints": "vesalius.combine.box_hints:BoxHints",
        "composed": "vesalius.models.composed:Composed",
        "concept_ensemble": "vesalius.combine.concepts.ensemble:ConceptEnsemble",
        "concept_neighbours": "vesalius.combine.concepts.neighbours:ConceptNeighbours",
        "consensus": "vesalius.combine.consensus:Consensus",
        "detr": "vesalius.models.detection.detr:Detr",
        "endpoint": "vesalius.models.endpoint:Endpoint",
        "evidence": "vesalius.combine.evidence:Evidence",
        "few_shot": "vesalius.combine.few_shot.learner:FewShot",
        "fuser": "vesalius.combine.fuser.learner:Fuser",
        "generative": "vesalius.models.generative.learner:Generative",
        "guided": "vesalius.combine.concepts.guided:Guided",
        "linear_probe": "vesalius.models.linear_probe:LinearProbe",
        "majority": "vesalius.models.majority:Majority",
        "nanodet": "vesalius.models.detection.nanodet:Nanodet",
        "nearest": "vesalius.combine.nearest:Nearest",
        "replay": "vesalius.models.replay:Replay",
        "reranked": "vesalius.combine.concepts.reranked:Reranked",
        "synthesizer": "vesalius.combine.synthesizer.learner:Synthesizer",
        "tagger": "vesalius.models.tagging.tagger:Tagger",
        "text": "vesalius.models.text_only.learner:Text",
        "trained_synthesizer": "vesalius.combine.synthesizer.trained:TrainedSynthesizer",
        "vilt": "vesalius.models.vilt:Vilt",
        "yolo": "vesalius.models.detection.yolo:Yolo",
    },
)


class Model(Protocol):
    """Anything that answers the last open turn of dialogues."""

    @property
    def needs_image(self) -> bool:
        """Whether a dialogue without a picture is refused."""

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue, in order; ModelError if a needed image is missing."""


Piece = tuple[int, str | Prediction]
"""Of the dialogue at a place: text as it is written, or, last and once, its prediction."""


Control = Literal["unguarded", "swapped"]
"""What is done to a model's neighbours to learn what they are worth.

``unguarded``: cases of the same patient and near-duplicates may come, never the picture itself.
``swapped``: the neighbours of another case take their place, still none of the same patient.
"""


@runtime_checkable
class Streaming(Protocol):
    """A model that can be listened to while it answers."""

    def stream(
        self,
        dialogues: Sequence[Dialogue],
        decoding: Decoding,
        *,
        cancelled: Callable[[int], bool] | None = None,
    ) -> Iterator[Piece]:
        """The answers in pieces; closing the iterator stops the work before the next token.

        ``cancelled(place)`` is asked before each token and stops that answer alone.
        """


@runtime_checkable
class Incremental(Protocol):
    """A model whose answers come one at a time: those before a failure are not lost with it."""

    def predict_each(
        self, dialogues: Sequence[Dialogue], decoding: Decoding
    ) -> Iterator[Prediction]:
        """The predictions in order, each as soon as it and those before it are there.

        Where one fails, those that are finished come still, then the error.
        """


@runtime_checkable
class Remote(Protocol):
    """A model on a server, which may be away, and which sees what leaves this machine."""

    def look(self) -> None:
        """See that the server is there with the model; Unavailable or ModelError if not."""

    def connect(self, pictures: Callable[[], int]) -> None:
        """Look, and say on stderr how many pictures leave this machine, if they do."""

    def about(self) -> dict[str, Any]:
        """What the server says of its model: ``model``, ``revision``, ``server``."""


def each(model: Model, dialogues: Sequence[Dialogue], decoding: Decoding) -> Iterator[Prediction]:
    """The predictions in order, as they come where the model is Incremental, else all at once."""
    if isinstance(model, Incremental):
        yield from model.predict_each(dialogues, decoding)
    else:
        yield from model.predict(dialogues, decoding)


Validate = Callable[[Model], float]


def parts(model: Model) -> Iterator[Model]:
    """A model and the models that it wraps (its ``members``), and theirs."""
    yield model
    members: Mapping[str, Model] = getattr(model, "members", {})
    for member in members.values():
        yield from parts(member)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a fit may look at.

    ``validate`` gives the watched score of a model on validation dialogues, None where the recipe
    has none. ``answers`` holds, for a wrapper that learns, what each member predicts for each
    dialogue of ``train``, in order, never by a model that was fitted on it. ``concepts`` reads, by
    case, the concepts that experts gave the training cases, also where the task is another.
    ``validation_answers``: what each member predicts for the dialogues that ``validate`` asks.
    """

    train: Sequence[Dialogue]
    validation: Sequence[Dialogue] = ()
    validate: Validate | None = None
    answers: Mapping[str, Sequence[Prediction]] = field(default_factory=dict)
    concepts: Callable[[], Mapping[str, tuple[str, ...]]] = dict
    validation_answers: Mapping[str, Sequence[Prediction]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wraps:
    """Which members an entry wants below it.

    Those of ``names`` by name, and optionally those of ``optional``, or any if there are no names,
    between ``least`` and ``most`` of them. ``tasks``: by name, the other task that a member
    may do than the wrapper's. ``learns``: it is fitted on its members' answers to the training
    split, which must then be out of fold.
    """

    names: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    tasks: Mapping[str, str] = field(default_factory=dict)
    least: int = 1
    most: int | None = None
    learns: bool = False


class Learner(Protocol):
    """A registry entry: built from its block of the recipe, it fits, and loads what it fitted.

    It is called with its validated ``Settings``. One that wraps others says so in ``wraps``, and
    its ``load`` receives them: ``load(run, members={"draft": model, ...})``. One whose
    model computes nothing here (it replays, or asks a server) says ``computes = False``: nothing of
    it is fitted in folds, and the service needs no process for it. ``foldable = False``: what its
    answers were learnt from cannot be known.
    """

    Settings: ClassVar[type[BaseModel]]

    @property
    def needs_image(self) -> bool:
        """Whether what it learns is to answer about a picture."""

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Fit on dialogues with references; leave in ``run.weights`` all that ``load`` needs."""

    def load(self, run: Run) -> Model:
        """The fitted model of a run."""
