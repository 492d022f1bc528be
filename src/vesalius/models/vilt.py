"""ViLT: one transformer over words and patches, its answer one of the training answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError
from vesalius.models import Lesson
from vesalius.models.capabilities import HubCard
from vesalius.models.generative.weights.counts import weigh_whole
from vesalius.models.generative.weights.folder import require_sealed, seal
from vesalius.models.guard import require_at_most, require_pictures
from vesalius.models.label_space import LabelSpace, PicturedQuestion, pictured_questions
from vesalius.models.vilt_network import Reader, Sizes, pretrained, saved, small
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.settings import Frozen
from vesalius.training.device import Device, resolve_device
from vesalius.training.disk import writing
from vesalius.training.loop import train as run_training
from vesalius.training.parts import count, resolve_dtype
from vesalius.training.preflight import require
from vesalius.training.processes import main_first, on_main, world_size
from vesalius.training.settings import Precision, Training


class ViltTraining(Training):
    """How weights are trained; the defaults are those of the published system on SLAKE."""

    epochs: float = Field(default=3.0, gt=0)
    """Passes over the training split."""
    learning_rate: float = Field(default=2e-5, gt=0)
    """The highest rate, reached after the warm-up."""
    batch: int = Field(default=64, ge=1)
    """Questions in a forward pass, each with its image."""


class ViltSettings(Frozen):
    """A released ViLT by hub id or folder, or a small one from random weights."""

    weights: str | None = None
    """Hub id or local folder, e.g. ``dandelin/vilt-b32-mlm``; only safetensors are read."""
    revision: str | None = None
    """A branch, tag or commit of the hub repository."""
    tiny: bool = False
    """The same architecture at ``sizes`` with random weights: offline, from scratch."""
    sizes: Sizes = Sizes()
    """The sizes of ``tiny: true``."""
    soft_targets: bool = False
    """Learn all references of a question, weighted by agreement, by binary cross-entropy."""
    truncate: bool = False
    """Cut questions that are too long for the weights, instead of refusing them."""
    training: ViltTraining = ViltTraining()
    precision: Precision = "auto"
    """What training computes in; ``auto``: bf16 where the machine is fast at it, else fp32."""
    device: Device = "auto"
    """``cuda`` is refused where there is none; ``auto`` takes what there is."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.tiny == (self.weights is not None):
            raise ValueError("name either weights or tiny: true")
        if not self.tiny and self.sizes != Sizes():
            raise ValueError("released weights have their sizes; sizes are for tiny: true")
        return self


@dataclass(slots=True)
class ViltAnswers:
    """A fitted ViLT: it looks at the picture shown last and the last question."""

    network: Any
    reader: Reader
    labels: LabelSpace
    soft: bool
    needs_image: bool = True

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue: its probability, the likeliest labels, the references'.

        ModelError names a dialogue without a picture, with several, or with too long a question,
        before the
        first forward pass.
        """
        require_pictures(dialogues)
        require_at_most(Vilt.most_pictures, dialogues)
        self.reader.check((dialogue.id, dialogue.question.text) for dialogue in dialogues)
        method = "sigmoid probability" if self.soft else "softmax probability"
        predictions: list[Prediction] = []
        with _evaluating(self.network):
            for start in range(0, len(dialogues), decoding.batch):
                some = dialogues[start : start + decoding.batch]
                rows = zip(some, self._probabilities(some).tolist(), strict=True)
                predictions += [self.labels.prediction(d, shares, method) for d, shares in rows]
        return predictions

    def _probabilities(self, some: Sequence[Dialogue]) -> Tensor:
        pictures = require_pictures(some)
        inputs = self.reader.inputs(pictures, [dialogue.question.text for dialogue in some])
        inputs = {name: tensor.to(self.network.device) for name, tensor in inputs.items()}
        # In double precision no label's probability is nought: that is what unknown ones have.
        logits: Tensor = self.network(**inputs).logits.double()
        return logits.sigmoid() if self.soft else logits.softmax(dim=1)


class Vilt:
    """ViLT with a head over the training answers, all of it trained.

    The label space is the training answers and nothing else; an answer outside it cannot be given
    and counts as wrong (``label_space`` measures how often). Every patch is looked at, padding is
    masked. Source: W. Kim, B. Son, I. Kim, ViLT, ICML 2021, https://arxiv.org/abs/2102.03334.
    """

    Settings: ClassVar[type[ViltSettings]] = ViltSettings
    needs_image: ClassVar[bool] = True
    reads_system: ClassVar[bool] = False
    most_pictures: ClassVar[int] = 1
    card: ClassVar[HubCard] = HubCard(
        "visual-question-answering",
        "AutoModelForVisualQuestionAnswering",
        "It answers with one of the labels in its `config.json`, nothing else.",
    )

    def __init__(self, settings: ViltSettings) -> None:
        self.settings = settings

    @classmethod
    def tiny(cls, block: Mapping[str, Any]) -> dict[str, Any]:
        """The block with ``tiny: true`` in the place of weights."""
        kept = {key: value for key, value in block.items() if key not in {"weights", "revision"}}
        return kept | {"tiny": True}

    def weigh(self) -> dict[str, Any]:
        """Parameters and least memory by the weights' published sizes; nothing if it is drawn."""
        weights = self.settings.weights
        if weights is None:
            return {}
        source = {"source": f"published sizes of {weights}"}
        return weigh_whole(weights, self.settings.training) | source

    def hub_weights(self) -> tuple[str, ...]:
        """The weights it names."""
        return () if self.settings.weights is None else (self.settings.weights,)

    def check(self, *, validated: bool) -> None:
        """Refuse, before any data are read, a device or training that cannot be had here."""
        resolve_device(self.settings.device)
        require(self.settings.training, dtype=self._dtype(), validated=validated)

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Train on every answered question; the network and its labels go to ``run.weights``."""
        with main_first():
            taught, answerer = self._prepared(lesson.train, lesson.validation, run.recipe().seed)
        run.note(
            weights="random" if self.settings.tiny else "pretrained",
            **_facts(answerer, lesson.validation),
        )
        dtype, validate = self._dtype(), lesson.validate
        facts = run_training(
            answerer.network,
            taught,
            partial(_collate, answerer=answerer),
            self.settings.training,
            run,
            dtype=dtype,
            seed=run.recipe().seed,
            validate=(lambda: {"validation": validate(answerer)}) if validate else None,
            save_to=run.weights / "model",
        )
        on_main(lambda: seal(run, answerer.reader.processor))
        run.note(**facts, dtype=str(dtype).removeprefix("torch."))

    def load(self, run: Run, *, merge: bool = True, exact: bool = True) -> ViltAnswers:
        """The fitted model of a run, its labels with it; ModelError if a file of it was altered.

        There are no adapters, and it computes in fp32: ``merge`` and ``exact`` change nothing.
        """
        require_sealed(run)
        return self._saved(run.weights / "model", run.weights / "processor")

    def write(self, run: Run, folder: Path, *, merge: bool, dtype: str = "fp32") -> None:
        """Network, labels and processor as plain transformers reads them."""
        if not merge:
            raise ModelError("has no adapter: it was trained in full", where=run.path)
        answerer = self.load(run)
        with writing("the model", folder):
            answerer.network.to(resolve_dtype(dtype, training=False))
            answerer.network.save_pretrained(str(folder))
            answerer.reader.processor.save_pretrained(str(folder))
            answerer.reader.processor.image_processor.save_pretrained(str(folder))

    def read(self, run: Run, folder: Path, quantization: str | None = None) -> ViltAnswers:
        """What :meth:`write` wrote; ModelError for a quantisation, of which it has none."""
        if quantization is not None:
            raise ModelError("a classifier this small is not quantised", where=folder)
        return self._saved(folder, folder)

    def _saved(self, model: Path, processor_folder: Path) -> ViltAnswers:
        network, processor = saved(model, processor_folder)
        network = network.to(resolve_device("cpu" if self.settings.device == "cpu" else "auto"))
        names = network.config.id2label
        labels = LabelSpace(tuple(names[place] for place in sorted(names)))
        return self._answers(network, processor, labels)

    def plan(
        self, train: Sequence[Dialogue], seed: int, validation: Sequence[Dialogue] = ()
    ) -> dict[str, Any]:
        """What a fit would do: questions, steps, parameters, labels, and what these leave out."""
        taught, answerer = self._prepared(train, validation, seed)
        steps = self.settings.training.steps(len(taught), world_size())
        return {"questions": len(taught), "steps": steps, **_facts(answerer, validation)}

    def mask(self, train: Sequence[Dialogue], seed: int) -> NoReturn:
        """A classifier learns no tokens, so there is no mask: ModelError."""
        raise ModelError("vilt learns no tokens, so it masks none")

    def _prepared(
        self, train: Sequence[Dialogue], validation: Sequence[Dialogue], seed: int
    ) -> tuple[list[PicturedQuestion], ViltAnswers]:
        """What is taught, and the untrained model; all that can be refused is refused here."""
        require_pictures([*train, *validation])
        require_at_most(self.most_pictures, [*train, *validation])
        taught = pictured_questions(train)
        used = slice(None) if self.settings.soft_targets else slice(1)
        labels = LabelSpace.of(answer for one in taught for answer in one.answers[used])
        torch.manual_seed(seed)
        if self.settings.weights is None:
            questions = [one.question for one in taught]
            network, processor = small(self.settings.sizes, questions, labels.names)
        else:
            place = self.settings.weights
            network, processor = pretrained(place, self.settings.revision, labels.names)
        answerer = self._answers(network, processor, labels)
        answerer.reader.check(
            (one.dialogue, one.question) for one in taught + pictured_questions(validation)
        )
        return taught, answerer

    def _dtype(self) -> torch.dtype:
        return resolve_dtype(self.settings.precision, training=True)

    def _answers(self, network: Any, processor: Any, labels: LabelSpace) -> ViltAnswers:
        limit = network.config.max_position_embeddings
        reader = Reader(processor, limit, self.settings.truncate)
        return ViltAnswers(network, reader, labels, self.settings.soft_targets)


def _facts(answerer: ViltAnswers, validation: Sequence[Dialogue]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "parameters": count(answerer.network),
        "labels": len(answerer.labels.names),
    }
    if held_out := pictured_questions(validation):
        facts["unknown_validation_answer_rate"] = answerer.labels.unknown_rate(held_out)
    return facts


def _collate(some: Sequence[PicturedQuestion], *, answerer: ViltAnswers) -> dict[str, Any]:
    """Inputs, ``ids``, and ``labels``: the first reference's class (B,), or soft targets (B, L)."""
    space, pictures = answerer.labels, [one.picture for one in some]
    inputs: dict[str, Any] = answerer.reader.inputs(pictures, [one.question for one in some])
    inputs["ids"] = [one.dialogue for one in some]
    if not answerer.soft:
        return inputs | {"labels": torch.tensor([space.place(one.answers[0]) for one in some])}
    targets = torch.zeros(len(some), len(space.names))
    for row, one in zip(targets, some, strict=True):
        for place, share in space.agreement(one.answers).items():
            row[place] = share
    return inputs | {"labels": targets}


@contextmanager
def _evaluating(network: Any) -> Iterator[None]:
    training = network.training
    network.eval()
    try:
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            # ViLT shuffles the patches, though it keeps them all: sums would differ in the last
            # bit from call to call. It draws on the CPU, wherever the network is.
            torch.default_generator.manual_seed(0)
            yield
    finally:
        network.train(training)
