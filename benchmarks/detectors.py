"""Pictures a second of a detector's predict, against what its own library does with the same weights.

Phantoms are drawn as PNG files; a detector with random weights of its published size is fitted for
a few steps ($STEPS) on some of them, as the scores of untouched weights are nearly tied, and
exported. Then the same files go

* through our model as ``vesalius predict`` asks it: decode, resize, network, boxes, Predictions,
* through ``YOLO("model.pt").predict(files)`` with the exported file (yolo), or
* through the usual loop of transformers with the exported folder (detr): PIL, image processor,
  network, ``post_process_object_detection``,

in batches of several sizes. Of three rounds ($REPEATS), in which each goes in turn, the fastest
counts, by the wall clock and by the processor's time, as other work may run beside.
Four fifths of the ten surest boxes of either side must have their like on the other (place, cut at
the picture's edge, and score; ``yolo predict`` gives a place one class, we give all), or the
benchmark ends: the ratio would compare different work.
Ratios above 1 are ours being faster.

    python benchmarks/detectors.py detr --size nano --pictures 32
    python benchmarks/detectors.py yolo --architecture yolov8n --pictures 32
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("YOLO_VERBOSE", "false")

import torch
from PIL import Image

from vesalius import Picture, Recipe
from vesalius.cases.case import Box, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.recipe import Decoding
from vesalius.steps.export import export
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.prepare import dialogues

REPEATS = 3
STEPS = 20
OVERLAP = 0.7
"""IoU from which suppression holds two boxes for one: of two nearly tied ones either may stay."""
SUREST = 10
Found = list[list[Box]]
Detect = Callable[[Sequence[Path], int], Found]
"""Files and a batch size -> the boxes of each, with scores, the surest first."""


def recipe(model: dict[str, Any], size: int) -> Recipe:
    cases = {"train": 4 * STEPS, "validation": 4, "test": 1}
    return Recipe.model_validate(
        {
            "name": "detectors",
            "data": {
                "dataset": "phantom",
                "options": {"cases": cases, "size": size},
                "task": "detect",
                "leaks": "allow",
            },
            "model": model,
            "evaluation": {"metrics": ["detection"]},
        }
    )


def files(folder: Path, count: int, size: int) -> list[Path]:
    """Phantoms as PNG files."""
    data = recipe({"name": "majority"}, size).data
    options = {"cases": {"test": count}, "size": size, "seed": 1}
    drawn = dialogues(data.model_copy(update={"options": options}), "test")
    paths = []
    for number, dialogue in enumerate(drawn):
        paths.append(folder / f"{number:05d}.png")
        Image.open(BytesIO(dialogue.pictures[0].read())).save(paths[-1])
    return paths


def ours(model: Any) -> Detect:
    def detect(paths: Sequence[Path], batch: int) -> Found:
        asked = [
            Dialogue(p.name, (Turn(Question("where?"), (Picture.from_file(p),)),), p.name)
            for p in paths
        ]
        answers = model.predict(asked, Decoding(batch=batch))
        return [list(one.answer.boxes or ()) for one in answers]

    return detect


def plain_yolo(weights: Path, side: int) -> Detect:
    from ultralytics import YOLO

    model = YOLO(weights)

    def detect(paths: Sequence[Path], batch: int) -> Found:
        found: Found = []
        for start in range(0, len(paths), batch):
            some = [str(path) for path in paths[start : start + batch]]
            results = model.predict(
                some,
                imgsz=side,
                batch=batch,
                conf=1e-6,
                max_det=1000,
                verbose=False,
                device="cpu",
                rect=False,
            )
            for result in results:
                boxes = result.boxes
                rows = zip(
                    boxes.xyxy.tolist(), boxes.cls.tolist(), boxes.conf.tolist(), strict=True
                )
                height, width = result.orig_shape
                found.append([box(c, (width, height), result.names[int(n)], s) for c, n, s in rows])
        return found

    return detect


def plain_transformers(folder: Path) -> Detect:
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForObjectDetection.from_pretrained(folder).eval()

    def detect(paths: Sequence[Path], batch: int) -> Found:
        found: Found = []
        for start in range(0, len(paths), batch):
            images = [Image.open(path).convert("RGB") for path in paths[start : start + batch]]
            inputs = processor(images=images, return_tensors="pt")
            with torch.inference_mode():
                output = model(**inputs)
            sizes = torch.tensor([image.size[::-1] for image in images])
            results = processor.post_process_object_detection(
                output, threshold=0.0, target_sizes=sizes
            )
            for image, one in zip(images, results, strict=True):
                order = one["scores"].argsort(descending=True)
                columns = (one[name][order].tolist() for name in ("boxes", "labels", "scores"))
                rows = zip(*columns, strict=True)
                names = model.config.id2label
                found.append([box(c, image.size, names[n], s) for c, n, s in rows])
        return found

    return detect


def box(corners: Sequence[float], size: tuple[int, int], label: str, score: float) -> Box:
    """Cut at the edge of a picture of (width, height)."""
    width, height = size
    left, top = max(corners[0], 0.0), max(corners[1], 0.0)
    right, bottom = min(corners[2], width), min(corners[3], height)
    return Box(left, top, max(right - left, 1e-3), max(bottom - top, 1e-3), label, score=score)


def agreement(first: Found, second: Found) -> float:
    """The share of both sides' surest boxes that have their like on the other (place, score)."""
    pairs = [*zip(first, second, strict=True), *zip(second, first, strict=True)]
    alike = [
        any(
            b.label == a.label and a.iou(b) > OVERLAP and abs(a.score - b.score) < 0.01
            for b in others
        )
        for mine, others in pairs
        for a in mine[:SUREST]
    ]
    return sum(alike) / len(alike) if alike else 0.0


def seconds(detect: Detect, paths: Sequence[Path], batch: int) -> tuple[float, float]:
    """Of the wall clock, and of the processor's time (all threads together)."""
    wall, processor = time.perf_counter(), time.process_time()
    detect(paths, batch)
    return time.perf_counter() - wall, time.process_time() - processor


def measured(sides: dict[str, Detect], paths: Sequence[Path], batch: int) -> dict[str, Any]:
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(REPEATS):
        for name, detect in sides.items():
            taken[name].append(seconds(detect, paths, batch))
    row: dict[str, Any] = {"batch": batch}
    for at, clock in enumerate(("wall", "processor")):
        least = {name: min(one[at] for one in rounds) for name, rounds in taken.items()}
        ours, theirs = least.values()
        row[f"pictures_per_{clock}_second"] = {
            name: round(len(paths) / value, 2) for name, value in least.items()
        }
        row[f"{clock}_ratio"] = round(theirs / ours, 2)
    return row


def block(arguments: argparse.Namespace) -> dict[str, Any]:
    training = {"max_steps": STEPS, "batch": 4, "learning_rate": 1e-3}
    if arguments.detector == "detr":
        named = {"architecture": arguments.architecture or "d_fine", "size": arguments.size}
    else:
        named = {"architecture": arguments.architecture or "yolov8n"}
    side = {} if arguments.side is None else {"image_size": arguments.side}
    return {"name": arguments.detector, **named, **side, "training": training}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("detector", choices=["detr", "yolo"])
    parser.add_argument("--architecture")
    parser.add_argument("--size", default="nano", help="of detr: tiny, nano, small, medium, large")
    parser.add_argument("--side", type=int, help="pixels that a picture is brought to")
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--pixels", type=int, default=512, help="side of a phantom")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{arguments.threads} threads, Python {platform.python_version()}, torch {torch.__version__}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = fit(recipe(block(arguments), arguments.pixels), folder / "run")
        out = export(run, folder / "out", check=1).folder
        paths = files(folder, arguments.pictures, arguments.pixels)
        if arguments.detector == "detr":
            library, plain = "transformers", plain_transformers(out)
        else:
            side = arguments.side or 640
            library, plain = "yolo predict", plain_yolo(out / "model.pt", side)
        sides = {"vesalius": ours(load(run)), library: plain}
        same = agreement(*(detect(paths[:4], 2) for detect in sides.values()))
        print(f"of the {SUREST} surest boxes of either side in four pictures, alike: {same:.3f}")
        if same < 0.8:
            raise SystemExit("the two sides find other boxes: no comparison")
        for batch in arguments.batches:
            print(json.dumps(measured(sides, paths, batch)), flush=True)


if __name__ == "__main__":
    main()
