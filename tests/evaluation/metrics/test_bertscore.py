"""BERTScore with the packaged encoder, offline."""

import numpy as np
import pytest

from vesalius.errors import RecipeError
from vesalius.evaluation.caveats import of_metrics
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.metrics import metrics
from vesalius.evaluation.metrics.bertscore import _scorer, packaged_model

pytest.importorskip("bert_score")


def test_same_text_is_one_and_empty_is_nought(prediction):
    rows = [
        prediction("A large left pleural effusion", "A large left pleural effusion", name="a"),
        prediction("", "A large left pleural effusion", name="b"),
        prediction("heart", "", name="c"),
        prediction("heart", name="d"),
        prediction("肺炎 \u200b", "pneumonia", "肺炎", name="e"),
    ]
    table = metrics["bertscore"]().measure(rows)
    f1 = table["bertscore.f1"]
    assert f1[:3] == pytest.approx([1.0, 0.0, 0.0], abs=1e-5)
    assert np.isnan(f1[3])
    # The vocabulary lacks a character of 肺炎: every such word is the same to it.
    assert np.isnan(f1[4])
    assert table["unread"].tolist() == [0, 0, 0, 0, 1]


def test_a_text_beyond_the_length_of_the_encoder_is_counted(prediction):
    long = "a mass in the left lung " * 120
    rows = [prediction(long, "a mass"), prediction("a mass", "a mass", name="b")]
    found = evaluate(rows, ["bertscore"], resamples=0)
    assert found.counts == {"bertscore": {"cut": 1}}
    assert "1 of 2 have a text that is longer" in of_metrics(found)[0]


def test_idf_runs_over_the_corpus_and_special_tokens_weigh_nothing(prediction):
    rows = [prediction("a mass", "no mass", name="a"), prediction("a scan", "the scan", name="b")]
    metric = metrics["bertscore"](idf=True)
    first = metric.measure(rows)["bertscore.f1"]
    again = metric.measure(rows)["bertscore.f1"]
    assert first == pytest.approx(again)
    assert not np.allclose(first, metrics["bertscore"]().measure(rows)["bertscore.f1"])
    weights = _scorer(metric)._idf_dict
    # log((2+1)/(2+1)) = 0 for the tokens in every reference
    assert weights[_scorer(metric)._tokenizer.cls_token_id] == 0


def test_protocol_names_model_layer_and_versions():
    protocol = metrics["bertscore"]().protocol
    assert protocol.parameters["model"] == "all-MiniLM-L6-v2"
    assert protocol.parameters["layer"] == 5
    assert protocol.version == "0.3.13"


def test_a_folder_needs_a_layer(prediction, scored):
    with pytest.raises(RecipeError, match="layer"):
        scored({"bertscore": {"model": str(packaged_model())}}, prediction("a", "b"))


def test_image_clef_normalisation_hides_the_sequence(prediction, scored):
    rows = [prediction("T1-weighted MRI", "T2-weighted MRI"), prediction("", "", name="b")]
    found = scored("image_clef_caption", *rows)
    assert found["image_clef.rouge1"] == 1
    assert found["image_clef.bertscore_f1"] == pytest.approx(1, abs=1e-5)
    assert not metrics["image_clef_caption"]().protocol.parameters["official_encoder"]
