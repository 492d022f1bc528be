"""The head between pictures and words: it learns, on phantoms too, and refuses what it cannot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vesalius.combine.retrieval.image_text import ImageTextHead, learn
from vesalius.data.open import open_dataset
from vesalius.errors import ModelError, RunError
from vesalius.models.encoders import image_encoder
from vesalius.models.sentences import SentenceEncoder
from vesalius.retrieval import ImageTextBlock

torch.set_num_threads(1)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def ranks(cosines: np.ndarray) -> np.ndarray:
    """Of each row the place of its own column, 0 for the first."""
    return (cosines > np.diag(cosines)[:, None]).sum(axis=1)


def test_it_finds_pairs_that_share_a_hidden_cause() -> None:
    rng = np.random.default_rng(0)
    cause = rng.normal(size=(300, 6))
    pictures, texts = (unit(cause @ rng.normal(size=(6, width))) for width in (24, 16))
    head = learn(pictures[:200], texts[:200], [str(n) for n in range(200)], ImageTextBlock())
    cosines = head.pictures(pictures[200:]) @ head.texts(texts[200:]).T
    # of 100 by chance half are before the right one
    assert np.median(ranks(cosines)) <= 2
    assert np.median(ranks(cosines.T)) <= 2


def test_it_learns_on_phantoms_in_seconds() -> None:
    dataset = open_dataset("phantom", options={"cases": {"train": 60}, "size": 96})
    cases = [one for one in dataset.cases("train") if one.caption]
    pictures = image_encoder().embed([case.pictures[0] for case in cases])
    texts = SentenceEncoder().embed([case.caption for case in cases])
    half = len(cases) // 2
    same = [case.caption.lower() for case in cases]
    block = ImageTextBlock(epochs=60, dimension=32)
    head = learn(pictures[:half], texts[:half], same[:half], block)
    places = ranks(head.texts(texts[half:]) @ head.pictures(pictures[half:]).T)
    # 30 pictures that it did not learn from: by chance 15 are before the right one
    assert np.mean(places) < 9


def test_equal_texts_are_not_pushed_apart() -> None:
    rng = np.random.default_rng(1)
    pictures = unit(np.repeat(rng.normal(size=(2, 8)), 10, axis=0) + rng.normal(size=(20, 8)) / 9)
    texts = unit(np.repeat(rng.normal(size=(2, 8)), 10, axis=0))
    same = ["left"] * 10 + ["right"] * 10
    head = learn(pictures, texts, same, ImageTextBlock(dimension=4, learning_rate=0.02))
    cosines = head.pictures(pictures) @ head.texts(texts).T
    assert (cosines[:10, 0] > cosines[:10, 10]).all()
    assert (cosines[10:, 10] > cosines[10:, 0]).all()


def test_saved_and_loaded_it_is_the_same_and_twice_learned_too(tmp_path) -> None:
    rng = np.random.default_rng(2)
    pictures, texts = unit(rng.normal(size=(9, 5))), unit(rng.normal(size=(9, 4)))
    same, block = [str(n) for n in range(9)], ImageTextBlock(epochs=3, dimension=3, batch=4)
    head = learn(pictures, texts, same, block)
    head.save(tmp_path)
    again = ImageTextHead.load(tmp_path)
    assert np.array_equal(again.texts(texts), head.texts(texts))
    assert np.array_equal(learn(pictures, texts, same, block).picture_map, head.picture_map)
    (tmp_path / "image_text.safetensors").write_bytes(b"torn")
    with pytest.raises(RunError, match="not an image-text head"):
        ImageTextHead.load(tmp_path)


def test_of_one_thing_that_was_said_nothing_is_learned() -> None:
    vectors = unit(np.eye(3))
    with pytest.raises(ModelError, match="two cases of which different things were said"):
        learn(vectors, vectors, ["normal"] * 3, ImageTextBlock())
