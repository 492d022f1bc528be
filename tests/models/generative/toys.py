"""Six dialogues on three pictures, and every family's network at toy size."""

from __future__ import annotations

import io
from functools import cache, partial
from importlib.util import find_spec

import numpy as np
import torch
from PIL import Image

from vesalius import Answer, Dialogue, Picture, Question, Turn
from vesalius.models.generative.network import Network, assemble
from vesalius.models.generative.rows.rows import IGNORED
from vesalius.models.generative.text.families import families, family
from vesalius.models.generative.weights.tiny import tiny_model

# Six dialogues on three pictures of different shapes (so of different tiles), one of two turns.
TALK = [
    ("a", "what modality is this?", "ct"),
    ("a", "is there a nodule in the upper part of the left lung?", "yes"),
    ("a", "where is it?", "upper lobe of the left lung"),
    ("b", "what plane?", "axial"),
    ("b", "describe this image.", "an axial mr image of the head with a large lesion"),
]
SHAPES = {"a": (60, 30), "b": (40, 40), "c": (30, 50)}
# SmolVLM's processor needs a copyleft package, so it may be absent.
FAMILIES = [
    name for name in sorted(families()) if name != "smolvlm" or find_spec("num2words") is not None
]


def png(key: str) -> bytes:
    rng = np.random.default_rng(ord(key))
    pixels = rng.integers(40, 255, (*SHAPES[key], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@cache
def dialogues() -> tuple[Dialogue, ...]:
    pictures = {k: Picture(k, partial(png, k)) for k in SHAPES}
    made = [
        Dialogue(
            f"{key}/{i}", (Turn(Question(asked, answers=(Answer(said),)), (pictures[key],)),), key
        )
        for i, (key, asked, said) in enumerate(TALK)
    ]
    first = Turn(Question("what organ?"), (pictures["c"],), Answer("liver"))
    last = Turn(Question("is it normal?", answers=(Answer("no"),)))
    return (*made, Dialogue("c/talk", (first, last), "c"))


def network(name: str, scale: float = 3.0) -> Network:
    model, processor = tiny_model(family(name), dialogues(), seed=0)
    torch.manual_seed(1)
    for parameter in model.parameters():
        # Toy weights say the same of every picture, and gates begin closed; larger ones do not.
        parameter.data = parameter.data * scale + 0.02 * torch.randn_like(parameter)
    return assemble(model.eval(), processor, family(name), max_length=2048)


def gradients(net: Network, batches) -> tuple[float, dict[str, torch.Tensor]]:
    """Summed token loss over the batches and its gradients, all batches one optimizer step."""
    net.model.zero_grad()
    total, items = 0.0, sum(int((b["shift_labels"] != IGNORED).sum()) for b in batches)
    for batch in batches:
        given = {
            k: v.to(net.model.device, net.model.dtype if v.is_floating_point() else v.dtype)
            for k, v in batch.items()
            if k not in {"ids", "tokens"}
        }
        loss = net.model(**given, num_items_in_batch=items).loss
        loss.backward()
        total += loss.item()
    return total, {n: p.grad.clone() for n, p in net.model.named_parameters() if p.grad is not None}
