"""What all detectors share: how they are fitted, what is chosen on validation, what is saved.

A kind of detector (``detr``, ``yolo``) says how its network is made, saved and read, how pictures
go in and boxes come out; all else is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor, nn

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError, RunError
from vesalius.models import Lesson
from vesalius.models.detection.answering import BoxAnswers
from vesalius.models.detection.batches import Batches, batches_before
from vesalius.models.detection.box_classes import BoxClasses, annotated, boxes_of
from vesalius.models.detection.framing import Framing
from vesalius.models.detection.operating import OperatingPoint, chosen
from vesalius.models.detection.settings import DetectorSettings
from vesalius.models.generative.weights.counts import MIB
from vesalius.models.guard import require_at_most, require_pictures
from vesalius.models.platt import PlattScaling
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.system.files import read_json, write_json
from vesalius.training.checkpoints import last_complete, step_of
from vesalius.training.device import resolve_device
from vesalius.training.disk import writing
from vesalius.training.loop import train as run_training
from vesalius.training.parts import count, resolve_dtype
from vesalius.training.preflight import require
from vesalius.training.processes import main_first, on_main, world_size

TABLE = "detector.json"


class Detector(ABC):
    """A detector of the training boxes' classes; of pictures without a box, too, it learns."""

    Settings: ClassVar[type[DetectorSettings]]
    needs_image: ClassVar[bool] = True
    reads_system: ClassVar[bool] = False
    most_pictures: ClassVar[int] = 1
    overlap: ClassVar[float | None] = None

    settings: Any

    def __init__(self, settings: DetectorSettings) -> None:
        self.settings = settings

    @abstractmethod
    def new(self, classes: BoxClasses) -> tuple[nn.Module, Framing, dict[str, Any]]:
        """The untrained network, how pictures go into it, and what the run notes of its weights.

        In training it is called with ``pixel_values`` and ``labels`` (a list of ``class_labels``
        and ``boxes``, as transformers has them) and returns a ``loss``.
        """

    @abstractmethod
    def detect(self, network: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Corners (B, N, 4) in pixels of the input, and probabilities (B, N, C)."""

    @abstractmethod
    def save(self, network: Any, framing: Framing, folder: Path) -> None:
        """Write the network into a folder, as others load it."""

    @abstractmethod
    def saved(self, folder: Path, classes: BoxClasses) -> nn.Module:
        """The network that :meth:`save` wrote."""

    def prepared(self, network: nn.Module) -> nn.Module:
        """The network as it is asked fastest, once it trains no more.

        Convolutions on a CPU are up to a quarter faster where channels are last in memory.
        """
        channels_last: nn.Module = network.to(memory_format=torch.channels_last)
        return channels_last

    def hub_weights(self) -> tuple[str, ...]:
        """The weights that it names: a file, a folder or a hub id."""
        return () if self.settings.weights is None else (self.settings.weights,)

    def check(self, *, validated: bool) -> None:
        """Refuse, before any data are read, a device or training that cannot be had here."""
        resolve_device(self.settings.device)
        require(self.settings.training, dtype=self._dtype(), validated=validated)

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Train on every annotated picture, then choose calibration and point on validation."""
        with main_first():
            train, model, facts = self._prepared(lesson.train, lesson.validation, run.recipe().seed)
        run.note(**facts)
        validate = lesson.validate
        dtype = self._dtype()
        saved = last_complete(run.path / "checkpoints")
        step = 0 if saved is None else step_of(saved)
        before = batches_before(step, len(train), self.settings.training, world_size())
        done = run_training(
            model.network,
            train,
            Batches(model, self.settings.augmentation, run.recipe().seed, before),
            self.settings.training,
            run,
            dtype=dtype,
            seed=run.recipe().seed,
            validate=(lambda: {"validation": validate(model)}) if validate else None,
        )
        on_main(lambda: self._finish(model, annotated(lesson.validation), run))
        run.note(**done, dtype=str(dtype).removeprefix("torch."))

    def load(self, run: Run, *, merge: bool = True, exact: bool = True) -> BoxAnswers:
        """The fitted model of a run, in fp32: ``merge`` and ``exact`` change nothing.

        RunError if a file of it is missing or torn.
        """
        return self._loaded(run.weights / "model", run.weights)

    def write(self, run: Run, folder: Path, *, merge: bool, dtype: str = "fp32") -> None:
        """The network as others load it, and how its scores were calibrated."""
        if not merge:
            raise ModelError("has no adapter: it was trained in full", where=run.path)
        classes, framing, _ = self._table(run.weights)
        network = self.saved(run.weights / "model", classes)
        self.save(network.to(resolve_dtype(dtype, training=False)), framing, folder)
        write_json(folder / TABLE, read_json(run.weights / TABLE))

    def read(self, run: Run, folder: Path, quantization: str | None = None) -> BoxAnswers:
        """What :meth:`write` wrote; ModelError for a quantisation, of which it has none."""
        if quantization is not None:
            raise ModelError("a detector this small is not quantised", where=folder)
        return self._loaded(folder, folder)

    def plan(
        self, train: Sequence[Dialogue], seed: int, validation: Sequence[Dialogue] = ()
    ) -> dict[str, Any]:
        """What a fit would do: pictures, steps, parameters, classes."""
        pictures, _, facts = self._prepared(train, validation, seed)
        return {"steps": self.settings.training.steps(len(pictures), world_size()), **facts}

    def mask(self, train: Sequence[Dialogue], seed: int) -> NoReturn:
        """A detector learns no tokens, so there is no mask: ModelError."""
        raise ModelError("a detector learns no tokens, so it masks none")

    def _prepared(
        self, train: Sequence[Dialogue], validation: Sequence[Dialogue], seed: int
    ) -> tuple[list[Dialogue], BoxAnswers, dict[str, Any]]:
        """The pictures to learn from, the untrained model, and what the run notes of both."""
        require_pictures([*train, *validation])
        require_at_most(self.most_pictures, [*train, *validation])
        pictures = annotated(train)
        classes = BoxClasses.of(pictures)
        torch.manual_seed(seed)
        network, framing, facts = self.new(classes)
        network = network.to(resolve_device(self.settings.device))
        facts |= {
            "parameters": count(network),
            "classes": list(classes.names),
            "positives": sum(bool(boxes_of(one)) for one in pictures),
            "negatives": sum(boxes_of(one) == () for one in pictures),
            "not_annotated": len(train) - len(pictures),
            "unknown_validation_boxes": classes.outside(validation),
        }
        return pictures, self._answers(network, framing, classes), facts

    def _finish(self, model: BoxAnswers, validation: Sequence[Dialogue], run: Run) -> None:
        """Save the network, and what validation decides: the last of it makes the run whole."""
        with writing("the trained weights", run.weights / "model"):
            self.save(model.network, model.framing, run.weights / "model")
        raw = model.predict(validation, Decoding())
        calibration, point = chosen(raw, self.settings.point)
        table = {
            "classes": list(model.classes.names),
            "framing": asdict(model.framing),
            "calibration": None if calibration is None else asdict(calibration),
            "operating_point": point.table(),
        }
        write_json(run.weights / TABLE, table)
        run.note(operating_point=point.table(), calibrated=calibration is not None)

    def _table(self, folder: Path) -> tuple[BoxClasses, Framing, PlattScaling | None]:
        """What a folder's table says; RunError if it is none."""
        table = read_json(folder / TABLE)
        try:
            classes, framing = BoxClasses(tuple(table["classes"])), Framing.read(table["framing"])
            calibration = table["calibration"] and PlattScaling(**table["calibration"])
        except (KeyError, TypeError) as error:
            raise RunError(f"not a detector's table: {error}", where=folder / TABLE) from error
        return classes, framing, calibration

    def _loaded(self, folder: Path, described: Path) -> BoxAnswers:
        classes, framing, calibration = self._table(described)
        device = resolve_device("cpu" if self.settings.device == "cpu" else "auto")
        network = self.prepared(self.saved(folder, classes).float().to(device).eval())
        noted = read_json(described / TABLE).get("operating_point")
        threshold = OperatingPoint.read(noted, described / TABLE).threshold
        return self._answers(network, framing, classes, calibration, threshold)

    def _answers(
        self,
        network: nn.Module,
        framing: Framing,
        classes: BoxClasses,
        calibration: PlattScaling | None = None,
        point: float | None = None,
    ) -> BoxAnswers:
        return BoxAnswers(network, self.detect, framing, classes, self.overlap, calibration, point)

    def _dtype(self) -> torch.dtype:
        return resolve_dtype(self.settings.precision, training=True)


def weighed(number: int, source: str, *, copies: int = 4) -> dict[str, Any]:
    """What is told of a network of so many parameters: least memory for training it in fp32.

    ``copies``: itself, its gradient, and AdamW's two moments.
    """
    memory = round(number * copies * 4 / MIB)
    facts = {"parameters": number, "trainable": number, "least_memory_mb": memory}
    return {**facts, "source": source}
