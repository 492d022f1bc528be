"""BLEURT and AlignScore: adapters that measure only where a folder with weights is named."""

from math import isnan

import numpy as np
import pytest

from vesalius.errors import ModelError, RecipeError
from vesalius.evaluation.caveats import of_metrics
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.metrics import align_score, metrics
from vesalius.evaluation.metrics.align_score import sentences
from vesalius.evaluation.metrics.text_pairs import logits


@pytest.mark.parametrize("name", ["bleurt", "align_score"])
def test_without_weights_it_is_not_measured_and_told(name, prediction):
    found = evaluate([prediction("no mass", "a mass")], [name, "squad"], resamples=0)
    assert isnan(found.score(name).value)
    assert found.score(name).n == 0
    assert of_metrics(found) == [
        f"{name} not measured: no weights are named ({name}:model=FOLDER)."
    ]
    assert found.to_json()["protocols"][name]["absent"][name]


def test_a_folder_without_safetensors_is_refused(tmp_path, prediction):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(RecipeError, match="holds no weights"):
        evaluate([prediction("a", "b")], [{"bleurt": {"model": str(tmp_path)}}], resamples=0)


def test_other_labels_are_refused(pair_weights, prediction):
    spec = {"bleurt": {"model": str(pair_weights(3))}}
    with pytest.raises(ModelError, match="3 labels where 1"):
        evaluate([prediction("a", "b")], [spec], resamples=0)


def test_bleurt_is_the_logit_of_the_best_reference(pair_weights, prediction):
    folder = pair_weights(1)
    rows = [prediction("no mass", "a mass", "left lung"), prediction("ct", name="b")]
    table = metrics["bleurt"](model=str(folder)).measure(rows)
    each, _ = logits(folder, 1, [("a mass", "no mass"), ("left lung", "no mass")])
    assert table["bleurt"][0] == pytest.approx(each.max())
    assert isnan(table["bleurt"][1])  # no reference
    assert each[0] != each[1]


def test_a_pair_beyond_the_length_is_cut_and_counted(pair_weights, prediction):
    rows = [prediction("lung " * 40, "lung"), prediction("lung", "lung", name="b")]
    found = evaluate(rows, [{"bleurt": {"model": str(pair_weights(1))}}], resamples=0)
    assert list(found.counts.values()) == [{"cut": 1}]


def test_batches_do_not_change_a_logit(pair_weights):
    folder = pair_weights(1)
    pairs = [("left lung " * (i % 4 + 1), "no mass") for i in range(40)]
    alone = np.concatenate([logits(folder, 1, [pair])[0] for pair in pairs])
    assert logits(folder, 1, pairs)[0] == pytest.approx(alone, abs=1e-5)


def test_align_score_is_the_mean_of_sentences_best_parts(monkeypatch, tmp_path, prediction):
    """A sentence is aligned with a part that holds it whole: e^2 / (e^2 + 2), else 1/3."""

    def by_words(folder, labels, pairs):
        del folder, labels
        held = [2.0 if claim.strip(".") in part else 0.0 for part, claim in pairs]
        return np.array([[value, 0.0, 0.0] for value in held]), np.zeros(len(pairs))

    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    monkeypatch.setattr(align_score, "logits", by_words)
    long = "Nothing else. " * 200  # 400 words: the reference is read in parts
    metric = metrics["align_score"](model=str(tmp_path))
    rows = [
        prediction("A mass is seen. A cyst is seen.", f"{long} A mass is seen."),
        prediction("", "a mass", name="b"),
        prediction("", "", name="c"),
    ]
    sure, not_sure = np.exp(2) / (np.exp(2) + 2), 1 / 3
    values = metric.measure(rows)["align_score"]
    assert values == pytest.approx([(sure + not_sure) / 2, 0, 1])


def test_sentences_do_not_end_within_numbers():
    assert sentences("A 2.5 cm mass. No effusion! e.g. here") == [
        "A 2.5 cm mass.",
        "No effusion! e.g. here",
    ]


def test_a_hub_model_that_cannot_be_had_is_not_measured(monkeypatch, prediction):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    spec = {"bertscore": {"model": "nobody/has-these-weights", "layer": 3}}
    found = evaluate([prediction("a", "a")], [spec, "squad"], resamples=0)
    assert isnan(found.score("bertscore.f1").value)
    assert "nobody/has-these-weights are not here" in of_metrics(found)[0]
    assert found.score("squad.em").value == 1  # the others are
