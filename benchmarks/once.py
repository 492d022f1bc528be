"""What is done more than once: decodes, weights, features and bootstraps from import to card.

A small folder of phantoms goes through import -> fit -> predict -> evaluate -> report -> export
(with its card), each command in a process of its own, as people run them. Three models are fitted:
a tiny LLaVA whose base lies on the disk, with an index of similar cases; nearest; the linear probe.
Counted are, in every process of a command,

* decodes: pictures that Pillow turned into pixels,
* bases: vision-language networks that were read with their weights, not as an outline,
* encoders: frozen encoders that were read with their weights,
* embedded: pictures that went through a frozen image encoder,
* bootstraps: sets of resamples that were drawn, one for each slice.

Functions are wrapped in a ``sitecustomize`` module as soon as their module is imported. A name that
is no longer there ends the benchmark, and so does a function that was never wrapped or called: its
zeros would count nothing. ``-`` is a step that imports no module of that kind. The numbers before
are those of commit 6bf7d1b, from the second command:

    python benchmarks/once.py
    mkdir /tmp/before && git archive 6bf7d1b src | tar x -C /tmp/before
    python benchmarks/once.py --source /tmp/before/src
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from vesalius import open_dataset
from vesalius.models.generative.text.families import family
from vesalius.models.generative.weights.tiny import tiny_model
from vesalius.run import environment

CASES, SEED = 60, 7
KINDS = ("decodes", "bases", "encoders", "embedded", "bootstraps")
Row = tuple[int | None, ...]
"""By kind, in the order of KINDS; None where nothing of it was imported."""
BEFORE: dict[str, Row] = {
    "import": (120, None, None, None, None),
    "fit llava": (209, 2, 0, 36, 0),
    "fit nearest": (96, 0, 1, 36, 0),
    "fit probe": (108, 0, 2, 48, 0),
    "predict": (36, 1, 4, 24, 0),
    "evaluate": (None, None, None, None, 3),
    "report": (12, None, None, None, 5),
    "card": (2, 3, 0, None, 1),
}
"""By step, at commit 6bf7d1b."""

# Runs in the commands, so it knows no module of this file. TARGETS has, by module, its class (or
# None), the function, what notes how much a call of it was, and of which kinds.
COUNTING = """
import functools, importlib.abc, importlib.util, os, sys

def note(*words):
    with open(os.environ["ONCE_LOG"], "a") as log:
        log.write(" ".join(map(str, words)) + "\\n")

def decode(call, image, *args, **kwargs):
    if image.tile:  # what was loaded before has no tiles left
        note("count", "decodes", 1)
    return call(image, *args, **kwargs)

def embed(call, encoder, pictures):
    note("count", "embedded", len(pictures))
    return call(encoder, pictures)

def resample(call, *args, **kwargs):
    note("count", "bootstraps", 1)
    return call(*args, **kwargs)

def read_encoder(call, *args, **kwargs):
    note("count", "encoders", 1)
    return call(*args, **kwargs)

def read_network(call, kind, *args, **kwargs):
    result = call(kind, *args, **kwargs)
    network = result[0] if isinstance(result, tuple) else result
    if next(network.parameters()).device.type != "meta":
        whole = kind.__name__.endswith("ForConditionalGeneration")
        note("count", "bases" if whole else "encoders", 1)
    return result

TARGETS = {
    "PIL.ImageFile": ("ImageFile", "load", decode, "decodes"),
    "transformers.modeling_utils": (
        "PreTrainedModel", "from_pretrained", read_network, "bases encoders"
    ),
    "vesalius.models.encoders": ("ImageEncoder", "_encode", embed, "embedded"),
    "efficientnet_lite_pytorch": ("EfficientNet", "from_name", read_encoder, "encoders"),
    "vesalius.evaluation.stats": (None, "bootstrap", resample, "bootstraps"),
}

def wrap(module, owner, name, counter, kinds):
    ours, source = module.__name__.startswith("vesalius."), os.environ["ONCE_SOURCE"]
    if ours and not module.__file__.startswith(source + os.sep):
        sys.exit(f"{module.__file__} is counted, not {source}")
    place = module if owner is None else getattr(module, owner)
    function = getattr(place, name)
    bound = hasattr(function, "__self__")  # a method of a class: wrapped below its binding
    function = function.__func__ if bound else function
    @functools.wraps(function)
    def counted(*args, **kwargs):
        return counter(function, *args, **kwargs)
    setattr(place, name, classmethod(counted) if bound else counted)
    note("wrapped", module.__name__, *kinds.split())

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, module=None):
        if name not in TARGETS:
            return None
        target = TARGETS.pop(name)  # so that the search below passes this finder
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def exec_module(module):
            execute(module)
            wrap(module, *target)  # before anybody imports the function by its name
        spec.loader.exec_module = exec_module
        return spec

note("targets", *TARGETS)
sys.meta_path.insert(0, Finder())
"""

RECIPE = """
name: {name}
data: {{dataset: folder, root: {folder}/data, task: vqa, leaks: drop}}
model: {model}
decoding: {{max_new_tokens: 4, batch: 32}}
evaluation: {{metrics: [squad, closed], resamples: 200, validate_on: 8}}
{rest}
seed: 7
"""
LLAVA = """
  name: generative
  weights: {folder}/base
  roles: {{vision: full, projector: full, language: full}}
  training: {{epochs: 2, batch: 8}}
"""
MODELS = {"llava": LLAVA, "nearest": "{{name: nearest}}", "probe": "{{name: linear_probe}}"}
SIMILAR = "retrieve: {thumbnails: 64}"


def commands(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each command's arguments under the name of its step, in order."""
    data, runs = str(folder / "data"), [str(folder / name) for name in MODELS]
    fractions = "train=0.6,validation=0.2,test=0.2"
    yield "import", ("data", "import", str(folder / "rows.csv"), data, "--fractions", fractions)
    for name, block in MODELS.items():
        recipe, model = folder / f"{name}.yaml", block.format(folder=folder)
        rest = SIMILAR if name == "llava" else ""
        recipe.write_text(RECIPE.format(name=name, folder=folder, model=model, rest=rest))
        yield f"fit {name}", ("fit", str(recipe), "--run", str(folder / name))
    for run in runs:
        yield "predict", ("predict", "--run", run)
    for run in runs:
        yield "evaluate", ("evaluate", run)
    yield "report", ("report", *runs)
    yield "card", ("export", runs[0], "--check", "2")


def write_table(folder: Path) -> None:
    """Pictures as files, and a table of questions about them."""
    data = open_dataset("phantom", options={"cases": {"all": CASES}, "seed": SEED})
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "question", "answer", "patient"))
        for case in data.cases("all"):
            name = f"{case.id}.png"
            (folder / name).write_bytes(case.pictures[0].read())
            for question in case.questions:
                writer.writerow((name, question.text, question.answers[0].text, case.group))


def write_base(folder: Path) -> None:
    """The weights and the processor of a tiny LLaVA."""
    for part in tiny_model(family("llava"), (), SEED):
        part.save_pretrained(folder / "base")


class Tally:
    """What the processes of the commands noted, by step."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.targets, self.wrapped, self.kinds = set[str](), set[str](), dict[str, set[str]]()

    def read(self, step: str, log: Path) -> None:
        """Add what a command noted in ``log``."""
        count = self.counts.setdefault(step, Counter())
        kinds = self.kinds.setdefault(step, set())
        for line in log.read_text().splitlines():
            what, *words = line.split()
            if what == "targets":
                self.targets.update(words)
            elif what == "wrapped":
                self.wrapped.add(words[0])
                kinds.update(words[1:])
            else:
                count[words[0]] += int(words[1])

    def rows(self) -> dict[str, Row]:
        """The counts; SystemExit where one of them can be no count."""
        if not self.targets:
            raise SystemExit("sitecustomize did not run: is there another one before it?")
        if missed := sorted(self.targets - self.wrapped):
            raise SystemExit(f"never imported, so not counted: {', '.join(missed)}")
        total = sum(self.counts.values(), Counter[str]())
        if silent := [kind for kind in KINDS if not total[kind]]:
            raise SystemExit(f"wrapped, but never called: what counts {', '.join(silent)}")
        return {
            step: tuple(count[kind] if kind in self.kinds[step] else None for kind in KINDS)
            for step, count in self.counts.items()
        }


def counting(folder: Path, source: Path) -> dict[str, str]:
    """Variables under which a Python process counts into ``folder / "log"``, with ``source``."""
    (folder / "sitecustomize.py").write_text(COUNTING)
    return {
        "PYTHONPATH": os.pathsep.join([str(folder), str(source)]),
        "ONCE_LOG": str(folder / "log"),
        "ONCE_SOURCE": str(source),
        "VESALIUS_CACHE": str(folder / "cache"),
    }


def count(folder: Path, source: Path) -> dict[str, Row]:
    """How often each kind was done in each step by the package in ``source``."""
    write_table(folder)
    write_base(folder)
    log, tally, places = folder / "log", Tally(), counting(folder, source)
    for step, arguments in commands(folder):
        log.write_text("")
        command = [sys.executable, "-m", "vesalius", *arguments]
        done = subprocess.run(
            command, env=os.environ | places, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr[-4000:]}")
        tally.read(step, log)
    return tally.rows()


def conditions(source: Path) -> Iterator[str]:
    """Commit, machine and versions."""
    commit = git(source, "rev-parse", "--short", "HEAD") or "not known"
    changes = ", with changes" if git(source, "status", "--porcelain", "--", ".") else ""
    yield f"source: {source}, commit {commit}{changes}"
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    yield f"machine: {models[0] if models else platform.machine()}, {os.cpu_count()} cores"
    versions = environment()["packages"]
    named = ", ".join(f"{name} {versions[name]}" for name in ("torch", "transformers", "pillow"))
    yield f"Python {platform.python_version()}, {named}"


def git(folder: Path, *arguments: str) -> str:
    """What git prints in a folder; nothing where there is no repository, or no git."""
    program = shutil.which("git")
    if program is None:
        return ""
    command = [program, "-C", str(folder), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def table(now: dict[str, Row]) -> Iterator[str]:
    """Lines of ``before / now`` by step, and their sums."""
    yield " ".join(("step".ljust(12), *(kind.rjust(13) for kind in KINDS)))
    for step, row in (now | {"all": total(now)}).items():
        old = (BEFORE | {"all": total(BEFORE)}).get(step) or ("?",) * len(row)
        pairs = (f"{cell(b)} / {cell(n)}".rjust(13) for b, n in zip(old, row, strict=True))
        yield " ".join((step.ljust(12), *pairs))


def total(rows: dict[str, Row]) -> Row:
    """The sum of each kind."""
    return tuple(
        sum(number or 0 for number in column) for column in zip(*rows.values(), strict=True)
    )


def cell(number: int | str | None) -> str:
    """A count as the table has it."""
    return "-" if number is None else str(number)


def main() -> None:
    """Print the conditions and a table of counts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    here = Path(__file__).resolve().parents[1] / "src"
    parser.add_argument("--source", type=Path, default=here, help="the package's folder")
    source = parser.parse_args().source.resolve()
    if not (source / "vesalius" / "__init__.py").exists():
        raise SystemExit(f"{source}: no package vesalius; name the folder that holds it")
    with tempfile.TemporaryDirectory() as folder:
        now = count(Path(folder), source)
    print(*conditions(source), sep="\n")
    print(f"{CASES} pictures, {len(MODELS)} models; at commit 6bf7d1b / counted now")
    print(*table(now), sep="\n")


if __name__ == "__main__":
    main()
