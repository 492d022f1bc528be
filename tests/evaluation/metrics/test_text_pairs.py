"""BLEURT and AlignScore: adapters that measure only where a folder with weights is named."""

import sys
from math import isnan
from pathlib import Path

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


BLEURT = """
class _Values:
    def __init__(self, rows):
        self.rows = rows

    def flatten(self):
        return self

    def tolist(self):
        return self.rows


class BleurtTokenizer:
    @classmethod
    def from_pretrained(cls, folder):
        return cls()

    def __call__(self, references, answers, **how):
        assert how["truncation"] and how["return_tensors"] == "pt"
        return {"pairs": list(zip(references, answers))}


class BleurtForSequenceClassification:
    @classmethod
    def from_pretrained(cls, folder):
        made = cls()
        made.scale = float(open(folder + "/scale").read())
        return made

    def eval(self):
        return self

    def __call__(self, pairs):
        words = [len(set(r.split()) & set(a.split())) for r, a in pairs]
        return type("Output", (), {"logits": _Values([self.scale * n for n in words])})
"""
TORCH = """
import contextlib
no_grad = contextlib.nullcontext
"""
ALIGNSCORE = """
class AlignScore:
    def __init__(self, model, batch_size, device, ckpt_path, evaluation_mode, verbose):
        assert evaluation_mode == "nli_sp" and device == "cpu"
        self.known = {"roberta-base": 0.5}[model]
        open(ckpt_path).close()

    def score(self, contexts, claims):
        return [self.known if b in a else 0.0 for a, b in zip(contexts, claims)]
"""


def test_bleurt_of_another_interpreter(interpreter, prediction, tmp_path):
    """Words in common, times the scale in the folder: max(2, 1) * .25 and 0; no reference: none."""
    (tmp_path / "scale").write_text("0.25")
    python = interpreter("bleurt-pytorch", BLEURT, "bleurt_pytorch")
    (next(Path(python).parent.parent.glob("lib/python*/site-packages")) / "torch.py").write_text(
        TORCH
    )
    rows = [
        prediction("a mass", "a mass here", "a cyst", name="x"),
        prediction("none", "a mass", name="y"),
        prediction("alone", name="z"),
    ]
    spec = {"bleurt": {"python": python, "model": str(tmp_path)}}
    done = evaluate(rows, [spec], resamples=0, by=())
    (score,) = done.overall()
    assert (score.value, score.n) == (0.25, 2)
    (protocol,) = done.protocols.values()
    assert protocol["implementation"] == "bleurt-pytorch, in an environment of its own"
    assert protocol["version"] == "0.1.8"


def test_align_score_of_another_interpreter_sends_no_empty_text(interpreter, prediction, tmp_path):
    checkpoint = tmp_path / "AlignScore-base.ckpt"
    checkpoint.write_text("")
    python = interpreter("alignscore", ALIGNSCORE)
    rows = [
        prediction("a mass", "there is a mass", name="x"),
        prediction("no mass", "there is a mass", name="y"),
        prediction("", "there is a mass", name="z"),
    ]
    how = {"python": python, "model": str(checkpoint), "base": "roberta-base"}
    (score,) = evaluate(rows, [{"align_score": how}], resamples=0, by=()).overall()
    assert score.value == pytest.approx((0.5 + 0 + 0) / 3)
    wrong = evaluate(rows, [{"align_score": how | {"base": "else"}}], resamples=0, by=())
    assert not wrong.overall()[0].measured
    assert "alignscore failed: KeyError" in str(wrong.protocols)


@pytest.mark.parametrize("name", ["bleurt", "align_score"])
def test_another_interpreter_without_the_package_is_not_measured(
    name, interpreter, prediction, tmp_path
):
    spec = {name: {"python": interpreter(name, None), "model": str(tmp_path)}}
    done = evaluate([prediction("a", "b")], [spec], resamples=0)
    assert not done.overall()[0].measured
    assert "is not installed there" in str(done.protocols)
    gone = {name: {"python": sys.executable, "model": str(tmp_path / "none")}}
    with pytest.raises(RecipeError, match="no such weights"):
        evaluate([prediction("a", "b")], [gone], resamples=0)
