"""Shared-image rows give the loss and gradients of one row per dialogue."""

from __future__ import annotations

import io
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from vesalius import Answer, Dialogue, Picture, Question, Turn
from vesalius.models.build import build
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.fitting import prepared
from vesalius.models.generative.rows import groups
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.rows.rows import IGNORED
from vesalius.recipe import Decoding

# Seven dialogues on three pictures, of unequal length, one of several turns.
TALK = [
    ("a", "what modality is this?", "ct"),
    ("a", "is there a nodule in the upper part of the left lung?", "yes"),
    ("a", "where is it?", "upper lobe of the left lung"),
    ("b", "what plane?", "axial"),
    ("b", "describe this image.", "an axial mr image of the head with a large lesion"),
    ("c", "how many?", "two"),
]
MODELS = {
    "llava": {"name": "generative", "tiny": True, "family": "llava"},
    "nano": {
        "name": "composed",
        "preset": "nano",
        "vision_sizes": {"image_size": 32, "hidden_size": 32, "num_attention_heads": 2},
        "language_sizes": {
            "hidden_size": 48,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        },
    },
}


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def dialogues() -> list[Dialogue]:
    pictures = {k: Picture(k, partial(png, i)) for i, k in enumerate("abc")}
    made = []
    for index, (key, asked, said) in enumerate(TALK):
        question = Question(asked, answers=(Answer(said),))
        made.append(Dialogue(f"{key}/{index}", (Turn(question, (pictures[key],)),), key))
    first = Turn(Question("what organ?"), (pictures["c"],), Answer("liver"))
    last = Turn(Question("is it normal?", answers=(Answer("no"),)))
    return [*made, Dialogue("c/talk", (first, last), "c")]


def network(name: str):
    learner = build(
        {**MODELS[name], "roles": dict.fromkeys(("vision", "projector", "language"), "full")}
    )
    return prepared(learner.blueprint, dialogues(), 0)


def gradients(net, batches) -> tuple[float, dict[str, torch.Tensor]]:
    """Summed token loss over the batches and its gradients, all batches one optimizer step."""
    net.model.zero_grad()
    net.model.train()
    items = sum(int(b["shift_labels"].numel()) for b in batches)
    total = 0.0
    for batch in batches:
        given = {k: v for k, v in batch.items() if k not in {"ids", "tokens"}}
        loss = net.model(**given, num_items_in_batch=items).loss
        loss.backward()
        total += loss.item()
    return total, {n: p.grad.clone() for n, p in net.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("accumulated", [False, True])
def test_shared_rows_equal_separate_rows(name: str, accumulated: bool) -> None:
    net = network(name)
    options = {"per_row": 16, "max_length": 2048}
    shared = Groups(dialogues(), net.encoder, share=True, **options)
    apart = Groups(dialogues(), net.encoder, share=False, **options)
    assert (len(shared), len(apart)) == (3, 7)
    batch = collator(net)
    packed = (
        [batch([shared[i]]) for i in range(3)]
        if accumulated
        else [batch([shared[i] for i in range(3)])]
    )
    separate = [batch([apart[i]]) for i in range(7)]
    loss, grads = gradients(net, packed)
    expected, expected_grads = gradients(net, separate)
    assert loss == pytest.approx(expected, abs=1e-5)
    assert grads.keys() == expected_grads.keys()
    assert any("vision_tower" in n for n in grads)
    for parameter, gradient in grads.items():
        torch.testing.assert_close(gradient, expected_grads[parameter], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("mebibytes", "reads"), [(512, 1), (0, 2)])
def test_a_picture_is_read_once_a_fit_where_there_is_room(
    mebibytes: int, reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network("nano")
    monkeypatch.setattr(groups, "ROWS_MIB", mebibytes)
    decoded: list[str] = []
    pixels = Picture.pixels
    monkeypatch.setattr(Picture, "pixels", lambda self: decoded.append(self.key) or pixels(self))
    items = Groups(dialogues(), net.encoder, share=True, per_row=16, max_length=2048)
    first, again = ([items[index] for index in range(len(items))] for _ in range(2))
    assert sorted(decoded) == sorted("abc" * reads)
    for one, other in zip(first, again, strict=True):
        assert [row.segments for row in one] == [row.segments for row in other]


def test_loss_is_borne_by_replies_and_end_tokens_alone() -> None:
    net = network("nano")
    (row,) = Groups(dialogues()[-1:], net.encoder, share=True, per_row=16, max_length=2048)[0]
    (segment,) = row.segments
    borne = [t for t in segment.labels if t != IGNORED]
    assert net.encoder.tokenizer.decode(borne) == "liver<|im_end|>no<|im_end|>"


@pytest.mark.parametrize("name", MODELS)
def test_prediction_from_a_shared_prefix_equals_one_by_one(name: str) -> None:
    net = network(name)
    for parameter in net.model.parameters():
        parameter.data *= 3  # toy weights say the same of every picture; larger ones do not
    model = Answerer(net)
    asked = [d.replying(None) for d in dialogues()]
    decoding = Decoding(max_new_tokens=8)
    together = model.predict(asked, decoding)
    alone = [model.predict([d], decoding)[0] for d in asked]
    assert [p.text for p in together] == [p.text for p in alone]
    assert len({p.text for p in together}) > 1
    for one, other in zip(together, alone, strict=True):
        assert one.confidence.value == pytest.approx(other.confidence.value, abs=1e-4)
    beams = Decoding(max_new_tokens=8, beams=3)
    assert [p.text for p in model.predict(asked, beams)] == [
        model.predict([d], beams)[0].text for d in asked
    ]
