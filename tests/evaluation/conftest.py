"""Small predictions, and a metric's scores on them."""

import subprocess
import sys

import pytest

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.evaluate import evaluate


def _prediction(said, *golds, name="a", **more):
    references = tuple(Answer(text=gold) for gold in golds)
    return Prediction(name, Answer(text=said), references=references, **more)


def _scored(metric, *predictions):
    found = evaluate(predictions, [metric], resamples=0)
    return {score.metric: score.value for score in found.overall()}


@pytest.fixture(scope="session")
def prediction():
    """prediction(said, *golds, name="a", **more)."""
    return _prediction


@pytest.fixture(scope="session")
def scored():
    """scored(metric, *predictions) -> the overall scores by name."""
    return _scored


@pytest.fixture(scope="session")
def pair_weights(tmp_path_factory):
    """pair_weights(labels) -> a folder with a tiny BERT classifier of pairs, in safetensors."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    def write(labels):
        folder = tmp_path_factory.mktemp("pairs") / f"tiny-{labels}"
        words = "[PAD] [UNK] [CLS] [SEP] [MASK] no mass in the left right lung a ct of chest . yes"
        vocabulary = {word: at for at, word in enumerate(words.split())}
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=24,
            num_labels=labels,
        )
        BertForSequenceClassification(config).save_pretrained(folder)
        BertTokenizerFast(vocab=vocabulary).save_pretrained(folder)
        return folder

    return write


@pytest.fixture(scope="session")
def radeval(tmp_path_factory):
    """radeval(source) -> an interpreter of its own whose package RadEval is that; None: without."""

    def make(source):
        folder = tmp_path_factory.mktemp("radeval")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        (site,) = folder.glob("lib/python*/site-packages")
        if source is not None:
            (site / "RadEval.py").write_text(source)
            facts = site / "RadEval-0.1.8.dist-info"
            facts.mkdir()
            text = "Metadata-Version: 2.1\nName: RadEval\nVersion: 0.1.8\n"
            (facts / "METADATA").write_text(text)
        return str(folder / "bin" / "python")

    return make
