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
def interpreter(tmp_path_factory):
    """interpreter(package, source, name) -> an interpreter of its own; no source: without it.

    ``package`` is what is distributed (version 0.1.8), ``name`` what is imported.
    """

    def make(package, source, name=None):
        folder = tmp_path_factory.mktemp("interpreter")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        (site,) = folder.glob("lib/python*/site-packages")
        if source is not None:
            (site / f"{name or package}.py").write_text(source)
            facts = site / f"{package.replace('-', '_')}-0.1.8.dist-info"
            facts.mkdir()
            text = f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.8\n"
            (facts / "METADATA").write_text(text)
        return str(folder / "bin" / "python")

    return make


@pytest.fixture(scope="session")
def radeval(interpreter):
    """radeval(source) -> an interpreter of its own whose package RadEval is that; None: without."""
    return lambda source: interpreter("RadEval", source)
