"""Text pairs through a sequence classifier of transformers, from a folder on this machine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr

from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError, RecipeError
from vesalius.evaluation.metrics import CUT, Array, Table
from vesalius.evaluation.metrics.interpreter import installed, scores
from vesalius.evaluation.metrics.table import means
from vesalius.evaluation.metrics.words import golds
from vesalius.settings import Frozen
from vesalius.system.machine import installed as version

_BATCH = 32


class PairMetric(Frozen):
    """A trained scorer of text pairs: no such weights come with Vesalius, so a folder is named."""

    name: ClassVar[str]
    """Of the metric, and of its one score."""

    package: ClassVar[str]
    """What scores in another interpreter, as it is distributed."""

    model: str | None = None
    """A folder with ``config.json``, a tokenizer and ``*.safetensors``; null: not measured. With
    ``python`` what that package reads."""
    python: str | None = None
    """An interpreter that can import the package that reads the published weights; null: this one
    reads them, with transformers."""
    weights: str | None = None
    """With ``python``: a folder with what the package reads besides, as the hub's cache has it (its
    ``HF_HOME``); the process has no network."""
    timeout: float = Field(3600.0, gt=0)
    """Seconds that such a process may take."""

    _failure: str = PrivateAttr("")

    def folder(self) -> Path | None:
        """The folder, None where none is named; RecipeError if it holds no such weights."""
        if self.model is None:
            return None
        path = Path(self.model).expanduser()
        if not (path / "config.json").is_file() or not list(path.glob("*.safetensors")):
            hint = "a folder with config.json, a tokenizer and *.safetensors; pickles are not read"
            raise RecipeError("holds no weights", where=path, hint=hint)
        return path

    def absent(self) -> dict[str, str]:
        """Why nothing is measured, for a protocol; empty where the weights are here."""
        if self.model is None:
            return {self.name: f"no weights are named ({self.name}:model=FOLDER)"}
        if self.python is None:
            self.folder()
            return {}
        if not Path(self.model).expanduser().exists():
            raise RecipeError("there are no such weights", where=f"{self.name}:model={self.model}")
        reason = self._failure or str(installed(self.python, self.package).get("error", ""))
        return {self.name: reason} if reason else {}

    def described(self) -> dict[str, Any]:
        """Which weights, for a protocol."""
        return {"model": None if self.model is None else Path(self.model).name}

    def source(self, here: str) -> tuple[str, str]:
        """What computes the score, and its version: ``here`` with transformers, or the package."""
        if self.python is None:
            return here, version("transformers") or "not installed"
        versions = installed(self.python, self.package).get("versions", {})
        where = f"{self.package}, in an environment of its own"
        return where, str(versions.get(self.package, ""))

    @abstractmethod
    def compare(
        self, answers: Sequence[str], references: Sequence[Sequence[str]]
    ) -> tuple[Array, Array]:
        """The best over a text's references [n], NaN without any; and whether a text was cut."""

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """The score of each text, and whether it was cut (another interpreter does not say)."""
        answers, references = [p.text for p in predictions], [golds(p) for p in predictions]
        if self.python is not None:
            return {self.name: self._elsewhere(answers, references)}
        values, cut = self.compare(answers, references)
        return {self.name: values, CUT: cut}

    def request(self) -> dict[str, Any]:
        """What the package is to read, for another interpreter."""
        return {"model": str(Path(str(self.model)).expanduser().resolve())}

    def fixed(self, answer: str, reference: str) -> float | None:
        """The score of a pair that need not be read; None of one that must be."""
        del answer, reference
        return None

    def _elsewhere(self, answers: Sequence[str], references: Sequence[Sequence[str]]) -> Array:
        """The best over a text's references [n] by the other interpreter; NaN if it gives none."""
        table = np.full(len(answers), np.nan)
        if self.python is None or self.absent():
            return table
        pairs = [(i, answers[i], gold) for i, group in enumerate(references) for gold in group]
        known = [self.fixed(answer, gold) for _, answer, gold in pairs]
        sent = [(a, g) for (_, a, g), one in zip(pairs, known, strict=True) if one is None]
        values: Mapping[str, Sequence[float]] = {self.name: []}
        if sent:
            asked = (self.python, self.package, self.request(), sent, [self.name])
            values, self._failure = scores(*asked, weights=self.weights, timeout=self.timeout)
        if not values:
            return table
        given = iter(values[self.name])
        for (i, *_), one in zip(pairs, known, strict=True):
            table[i] = np.fmax(table[i], next(given) if one is None else one)
        return table

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The mean."""
        return means(table, weights, (self.name,))


def logits(folder: Path, labels: int, pairs: Sequence[tuple[str, str]]) -> tuple[Array, Array]:
    """The classifier's logits [n, labels] of text pairs, and whether a pair was cut [n].

    ModelError where the folder's model has another number of labels or cannot be loaded.
    """
    import torch

    tokenizer, model, longest = _loaded(folder)
    if model.config.num_labels != labels:
        what = f"has {model.config.num_labels} labels where {labels} are expected"
        raise ModelError(what, where=folder)
    values, cut = np.zeros((len(pairs), labels)), np.zeros(len(pairs))
    for start in range(0, len(pairs), _BATCH):
        part = [list(side) for side in zip(*pairs[start : start + _BATCH], strict=True)]
        whole = tokenizer(*part, verbose=False)["input_ids"]
        batch = tokenizer(
            *part, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        with torch.inference_mode():
            rows = model(**batch).logits.double().numpy()
        values[start : start + len(rows)] = rows
        cut[start : start + len(rows)] = [len(ids) > longest for ids in whole]
    return values, cut


@lru_cache(maxsize=2)
def _loaded(folder: Path) -> tuple[Any, Any, int]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(str(error).splitlines()[0], where=folder) from error
    positions = int(getattr(model.config, "max_position_embeddings", 512))
    # RoBERTa's positions begin after the padding's: two of them are no place for a token.
    offset = 2 if model.config.model_type in {"roberta", "xlm-roberta"} else 0
    return tokenizer, model.eval(), min(tokenizer.model_max_length, positions - offset, 512)
