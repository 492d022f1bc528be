"""What is done more than once: decodes, networks, features and bootstraps from import to card.

A small folder of phantoms goes through import -> fit -> predict -> evaluate -> report -> export
(with its card), each command in a process of its own, as people run them: the nano model with an
index of similar cases, nearest and the linear probe. Counted are

* decodes: pictures that became pixels,
* networks: vision-language models that were built, or read from a folder,
* embedded: pictures that went through a frozen encoder,
* bootstraps: sets of resamples that were drawn, one for each slice.

The calls are counted by wrapping the functions in every process, workers too, through a
``sitecustomize`` module. ``--source`` counts another tree, with the commands of then.

    python benchmarks/once.py
    git worktree add /tmp/before 6bf7d1b && python benchmarks/once.py --source /tmp/before/src
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from vesalius.data.open import open_dataset

KINDS = ("decodes", "networks", "embedded", "bootstraps")
CASES = 60
BEFORE: dict[str, tuple[int, ...]] = {}
"""By step, in the order of KINDS, at commit 6bf7d1b: the last of this file's commands."""

WRAPPERS = """
import functools, importlib.abc, importlib.util, os, sys

def count(kind, times=1):
    with open(os.environ["ONCE_LOG"], "a") as log:
        log.write(f"{kind} {times}\\n")

def wrapped(owner, name, kind, times=lambda args, result: 1):
    function = getattr(owner, name)
    @functools.wraps(function)
    def inside(*args, **kwargs):
        result = function(*args, **kwargs)
        number = times(args, result)
        if number:
            count(kind, number)
        return result
    setattr(owner, name, inside)

def network(args, result):
    return int(next(args[0].parameters()).device.type != "meta")

def read_whole(args, result):
    return int(getattr(args[0], "__name__", "").endswith("ForConditionalGeneration"))

def wrap_reader(owner):
    function = owner.from_pretrained.__func__
    def inside(cls, *args, **kwargs):
        if read_whole((cls,), None):
            count("networks")
        return function(cls, *args, **kwargs)
    owner.from_pretrained = classmethod(inside)

WRAP = {
    "vesalius.cases.image": lambda m: wrapped(m, "decode", "decodes"),
    "vesalius.evaluation.stats": lambda m: wrapped(m, "bootstrap", "bootstraps"),
    "vesalius.models.encoders": lambda m: wrapped(
        m.ImageEncoder, "_encode", "embedded", lambda args, result: len(args[1])
    ),
    "transformers.modeling_utils": lambda m: wrap_reader(m.PreTrainedModel),
    "transformers.models.llava.modeling_llava": lambda m: wrapped(
        m.LlavaForConditionalGeneration, "__init__", "networks", network
    ),
}

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name not in WRAP:
            return None
        wrap = WRAP.pop(name)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            wrap(module)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""

RECIPE = """
name: once
data: {{dataset: folder, root: {data}, task: vqa, leaks: drop}}
model: {model}
decoding: {{max_new_tokens: 4, batch: 32}}
evaluation: {{metrics: [squad, closed], resamples: 200, validate_on: 8}}
{retrieve}
seed: 7
"""
NANO = "{name: composed, preset: nano, max_length: 1024, training: {epochs: 2, batch: 8}}"
MODELS = {"nano": NANO, "nearest": "{name: nearest}", "linear_probe": "{name: linear_probe}"}


def steps(folder: Path) -> list[tuple[str, tuple[str, ...]]]:
    """The commands in order, each under its step's name."""
    data, runs = folder / "data", {name: str(folder / name) for name in MODELS}
    fractions = "train=0.6,validation=0.2,test=0.2"
    commands: list[tuple[str, tuple[str, ...]]] = [
        (
            "import",
            ("data", "import", str(folder / "rows.csv"), str(data), "--fractions", fractions),
        )
    ]
    for name, model in MODELS.items():
        retrieve = "retrieve: {thumbnails: 64}" if name == "nano" else ""
        recipe = folder / f"{name}.yaml"
        recipe.write_text(RECIPE.format(data=data, model=model, retrieve=retrieve))
        commands.append(("fit", ("fit", str(recipe), "--run", runs[name])))
    commands += [("predict", ("predict", "--run", run)) for run in runs.values()]
    commands += [("evaluate", ("evaluate", run)) for run in runs.values()]
    commands.append(("report", ("report", *runs.values())))
    commands.append(("card", ("export", runs["nano"], "--check", "2")))
    return commands


def write_table(folder: Path) -> None:
    """Pictures as files, and a table of questions about them."""
    cases = open_dataset("phantom", options={"cases": {"all": CASES}, "seed": 7}).cases("all")
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "question", "answer", "patient"))
        for case in cases:
            name = f"{case.id}.png"
            (folder / name).write_bytes(case.pictures[0].read())
            for question in case.questions:
                answer = question.answers[0].text
                writer.writerow((name, question.text, answer, case.group))


def counts(folder: Path, source: Path) -> dict[str, tuple[int, ...]]:
    """How often each kind was done in each step by the package in ``source``."""
    (folder / "sitecustomize.py").write_text(WRAPPERS)
    write_table(folder)
    log = folder / "log"
    path = os.pathsep.join([str(folder), str(source)])
    places = {"PYTHONPATH": path, "ONCE_LOG": str(log), "VESALIUS_CACHE": str(folder / "cache")}
    total: dict[str, Counter[str]] = {}
    for step, arguments in steps(folder):
        log.write_text("")
        command = [sys.executable, "-m", "vesalius", *arguments]
        subprocess.run(command, env=os.environ | places, check=True, stdout=subprocess.DEVNULL)
        count = total.setdefault(step, Counter())
        for line in log.read_text().splitlines():
            kind, number = line.split()
            count[kind] += int(number)
    return {step: tuple(count[kind] for kind in KINDS) for step, count in total.items()}


def main() -> None:
    """Print a table of counts, before / now."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    here = Path(__file__).resolve().parents[1] / "src"
    parser.add_argument("--source", type=Path, default=here, help="the package's folder")
    source = parser.parse_args().source.resolve()
    with tempfile.TemporaryDirectory() as folder:
        now = counts(Path(folder), source)
    print(f"{CASES} pictures, three models; {source}: at 6bf7d1b / counted")
    print("step".ljust(10), *(kind.rjust(14) for kind in KINDS))
    rows = {**now, "all": tuple(map(sum, zip(*now.values(), strict=True)))}
    before = {**BEFORE, "all": tuple(map(sum, zip(*BEFORE.values(), strict=True)))}
    for step, row in rows.items():
        old = before.get(step) or ("?",) * len(row)
        pairs = (f"{b} / {n}".rjust(14) for b, n in zip(old, row, strict=True))
        print(step.ljust(10), *pairs)


if __name__ == "__main__":
    main()
