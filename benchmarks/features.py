"""Kept features of a frozen vision tower: seconds a step with and without, and the disk they cost.

A step is one picture with its questions, from its file to the gradients of LoRA on SmolLM2-135M.
Without: decoded, resized, through the tower each time. With: read from disk (second pass).

    python benchmarks/features.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from shared_images import talk
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from vesalius.models import composing
from vesalius.models.generative.features import FeatureStore
from vesalius.models.generative.network import Network, assemble
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.text.families import family
from vesalius.training.parts import prepare
from vesalius.training.settings import Adapter

# name: (layers, width, edge in pixels of 14-pixel patches); ViT-B/14 and ViT-L/14-336 are CLIP's.
TOWERS = {"ViT-B/14, 196 px": (12, 768, 196), "ViT-L/14, 336 px": (24, 1024, 336)}


def network(layers: int, width: int, edge: int) -> tuple[Network, Any]:
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        image_size=edge,
        patch_size=14,
    )
    images = CLIPImageProcessor(size={"height": edge, "width": edge}, do_center_crop=False)
    torch.manual_seed(0)
    tower = composing.Vision(CLIPVisionModel(config), images, class_token=True)
    model, processor = composing.compose(
        tower, composing.language("smollm2", {}, words=(), vocabulary=640)
    )
    net = assemble(model, processor, family("llava"), max_length=4096)
    roles = {"vision": "frozen", "projector": "frozen", "language": "adapter"}
    return net, prepare(model, net.family.parts, roles, Adapter(r=16), net.family.targets)


def seconds(net: Network, model: Any, items: Groups) -> float:
    batch, durations = collator(net), []
    for index in range(len(items)):
        started = time.perf_counter()
        inputs = batch([items[index]])
        given = {k: v for k, v in inputs.items() if k not in {"ids", "tokens"}}
        model(**given).loss.backward()
        model.zero_grad()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def cell(tower: str, questions: int, pictures: int) -> dict[str, Any]:
    layers, width, edge = TOWERS[tower]
    net, model = network(layers, width, edge)
    dialogues = talk(pictures, questions, 512)
    items = Groups(dialogues, net.encoder, share=True, per_row=64, max_length=4096)
    with tempfile.TemporaryDirectory() as folder:
        seconds(net, model, items)  # warms up
        off = seconds(net, model, items)
        items = Groups(
            dialogues,
            net.encoder,
            share=True,
            per_row=64,
            max_length=4096,
            prefixes=FeatureStore(net, Path(folder)).prefix,
        )
        first = seconds(net, model, items)
        on = seconds(net, model, items)
        disk = sum(p.stat().st_size for p in Path(folder).rglob("*.safetensors")) / pictures
    return {
        "tower": tower,
        "questions": questions,
        "off_s": round(off, 3),
        "first_pass_s": round(first, 3),
        "on_s": round(on, 3),
        "ratio": round(off / on, 2),
        "disk_kb_per_picture": round(disk / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--questions", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--pictures", type=int, default=4)
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, fp32")
    for tower in TOWERS:
        for questions in options.questions:
            print(json.dumps(cell(tower, questions, options.pictures)), flush=True)


if __name__ == "__main__":
    main()
