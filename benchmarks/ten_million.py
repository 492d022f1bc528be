"""What one item costs, and what the machinery around ten million of them costs; a line each.

    OMP_NUM_THREADS=1 python benchmarks/ten_million.py [--pictures 192] [--rows 20000]

Seconds of the CPU, which other work on the machine hardly changes, of one thread. Pictures are drawn
phantoms as PNG of 512 x 512; files to de-identify are drawn CT of 512 x 512 in 16 bit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deidentify import drawn

from vesalius import Recipe
from vesalius.data.deidentify import Options, SharedDeidentification
from vesalius.data.inspection import inspect
from vesalius.data.open import open_dataset
from vesalius.models.feature_cache import FEATURES_MB
from vesalius.steps.embed import Embedding
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.predict import SplitQuestions, predict
from vesalius.steps.sharing import SharedAnswers
from vesalius.system.files import append_lines
from vesalius.system.places import place
from vesalius.system.shards import MOST, Shards

SIDE, SAMPLE, LOOKS = 512, 1000, 20
SPLITS = {"train": "train", "validation": None, "test": "test"}


def spent() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    return sum(
        use.ru_utime + use.ru_stime
        for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def cost(what: str, items: int, work: Callable[[], Any]) -> None:
    """Tell what an item costs."""
    before = spent()
    work()
    each = (spent() - before) / items
    hours = each * 1e7 / 3600
    print(f"{what}: {each * 1000:.3g} ms of CPU each, {hours:,.3g} core hours for 10 M", flush=True)


def pictures(folder: Path, number: int) -> None:
    """A folder of PNG with a question each, in two splits."""
    options = {"cases": {"train": number, "test": number}, "size": SIDE}
    phantoms = open_dataset("phantom", options=options)
    for split in ("train", "test"):
        rows = []
        for n, case in enumerate(phantoms.cases(split)):
            name = f"{split}{n}.png"
            case.pictures[0].pixels().save(folder / name)
            question = case.questions[0]
            answer = question.answers[0].text
            rows.append({"id": name, "image": name, "question": question.text, "answer": answer})
        append_lines(folder / f"{split}.jsonl", rows)
    size = sum(file.stat().st_size for file in folder.glob("*.png")) / (2 * number)
    print(f"a picture: {size / 1e3:.0f} kB, {size * 1e7 / 1e12:.2f} TB for 10 M", flush=True)


def items(folder: Path, number: int) -> None:
    """Looking at, encoding, answering, de-identifying."""
    data = folder / "data"
    data.mkdir()
    pictures(data, number)
    dataset = open_dataset("folder", data)
    test = [picture for case in dataset.cases("test") for picture in case.pictures]
    cost("data check, audit (read, decode, hash)", number, lambda: [inspect(one) for one in test])
    embedding = Embedding(dataset, "efficientnet_lite0", "minilm")
    embedding.vectors(test[:16])
    cost("data embed, EfficientNet-lite0", number - 16, lambda: embedding.vectors(test[16:]))
    recipe = {
        "name": "probe",
        "data": {"dataset": "folder", "root": str(data), "splits": SPLITS, "leaks": "allow"},
        "model": {"name": "linear_probe", "epochs": 1},
    }
    run = fit(Recipe.model_validate(recipe), folder / "run")
    predict(run, limit=16, name="warm")
    cost("predict, linear_probe, vectors made ahead", number, lambda: predict(run))
    size = run.predictions_file().stat().st_size / number
    print(f"a row of predictions: {size:.0f} bytes, {size * 1e7 / 1e9:.1f} GB for 10 M", flush=True)
    scans = folder / "scans"
    scans.mkdir()
    for n in range(64):
        (scans / f"{n}.dcm").write_bytes(drawn(n, SIDE))
    job = SharedDeidentification(scans, folder / "clean", Options(), workers=0)
    cost("deidentify, with its check", 64, job.work)


def language_model(folder: Path) -> None:
    """Answers of 135 million parameters, after one step of training."""
    recipe = {
        "name": "smol",
        "data": {
            "dataset": "phantom",
            "options": {"cases": {"train": 4, "test": 8}, "size": SIDE},
            "splits": SPLITS,
            "leaks": "allow",
        },
        "model": {"name": "composed", "preset": "smol", "training": {"max_steps": 1}},
    }
    run = fit(Recipe.model_validate(recipe), folder / "smol")
    model = load(run)
    predict(run, limit=8, name="warm", model=model)
    number = sum(1 for _ in SplitQuestions.of(run).items())
    cost("predict, composed/smol", number, lambda: predict(run, model=model))
    rows = [json.loads(line) for line in run.predictions_file().open()]
    words = sum(row["usage"]["new_tokens"] for row in rows) / len(rows)
    print(f"that was {len(rows)} answers of {words:.3g} new tokens")


def machinery(folder: Path, rows: int) -> None:
    """Names of items in memory, claims, and looks at a place of as many shards as there can be."""
    table = folder / "table"
    table.mkdir()
    (table / "a.png").write_bytes((folder / "data" / "test0.png").read_bytes())
    lines = (
        {"id": f"case-{n:09d}", "image": "a.png", "question": "what is it?", "answer": "a thing"}
        for n in range(rows)
    )
    append_lines(table / "test.jsonl", lines)
    append_lines(table / "train.jsonl", [json.loads((table / "test.jsonl").open().readline())])
    data = {"dataset": "folder", "root": str(table), "splits": SPLITS, "leaks": "allow"}
    recipe = Recipe.model_validate({"name": "m", "data": data, "model": {"name": "majority"}})
    questions = SplitQuestions.of(fit(recipe, folder / "majority"))
    tracemalloc.start()
    answers = SharedAnswers(questions)  # while it is there, so are the names
    each = tracemalloc.get_traced_memory()[0] / rows
    tracemalloc.stop()
    del answers
    print(f"a name in a worker: {each:.0f} bytes, {each * 1e7 / 1e9:.1f} GB for 10 M", flush=True)
    cost("reading a row of a folder's table", rows, lambda: sum(1 for _ in questions.items()))
    at = folder / "shards"
    shards = Shards(place(at), {"items": 10**7, "size": 10**7 // MOST, "shards": MOST})
    started = time.monotonic()
    for number in shards.free():
        shards.publish(number, [{"n": number}])
        if number == SAMPLE - 1:
            break
    each = (time.monotonic() - started) / SAMPLE
    print(f"a shard's claim, looks and result, of the first {SAMPLE:,}: {each * 1000:.2g} ms")
    for number in range(SAMPLE, MOST):
        (at / f"{number:06d}.jsonl").touch()
        (at / f"{number:06d}.claim.1").touch()
    before = spent()
    for _ in range(LOOKS):
        shards.done()
    each = (spent() - before) / LOOKS
    print(f"a look at {2 * MOST:,} files: {each * 1000:.3g} ms of CPU", flush=True)


def main() -> None:
    """Measure one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=192)
    parser.add_argument("--rows", type=int, default=20_000)
    options = parser.parse_args()
    os.environ[FEATURES_MB] = "0"
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        items(Path(folder), options.pictures)
        language_model(Path(folder))
        machinery(Path(folder), options.rows)


if __name__ == "__main__":
    main()
