"""The caption scores of the ImageCLEFmedical 2024 challenge, with its normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import UNREAD, Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.bertscore import Encoder
from vesalius.evaluation.metrics.table import means, unread
from vesalius.evaluation.metrics.words import english, golds, image_clef
from vesalius.language.script import is_latin

_NAMES = ("image_clef.bertscore_f1", "image_clef.rouge1")
OFFICIAL = ("microsoft/deberta-xlarge-mnli", 40)


class ImageClefCaption(Encoder):
    """ImageCLEFmedical Caption 2024: BERTScore F1 (primary) and ROUGE-1 F (secondary), in [0, 1].

    The challenge uses ``microsoft/deberta-xlarge-mnli`` (layer 40): with another encoder the
    protocol says that the number is not the challenge's. Its normalisation hides numbers and the
    T1/T2 difference: show ``content`` beside it.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        official = self.model == OFFICIAL[0] and self.layer in {None, OFFICIAL[1]}
        return ScoringProtocol(
            name="image_clef_caption",
            implementation="bert-score and rouge-score",
            version="ImageCLEFmedical Caption 2024",
            parameters={"official_encoder": official, **self.described()},
            normalisation="NFKC; lower; digit runs to 'number'; punctuation deleted",
            averaging="maximum over references; both empty = 1; mean over captions",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """BERTScore F1 and unstemmed ROUGE-1 F, a row."""
        answers = [image_clef(p.text) for p in predictions]
        wanted = [[image_clef(gold) for gold in golds(p)] for p in predictions]
        scores, flags = self.compare(answers, wanted)
        f1 = scores[:, 2]
        scorer = RougeScorer(["rouge1"], use_stemmer=False)
        rouge = np.full(len(answers), np.nan)
        for i, (text, references) in enumerate(zip(answers, wanted, strict=True)):
            if references and not text and "" in references:
                f1[i] = rouge[i] = 1.0
            elif references and all(map(is_latin, references)):
                texts = [english(reference) for reference in references]
                rouge[i] = scorer.score_multi(texts, english(text))["rouge1"].fmeasure
        either = flags | {UNREAD: np.maximum(flags[UNREAD], unread(predictions, is_latin)[UNREAD])}
        return {_NAMES[0]: f1, _NAMES[1]: rouge, **either}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights, _NAMES)
