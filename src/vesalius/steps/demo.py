"""The main job on phantoms: fit, predict, compare with baselines, report, ask one question."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from rich.console import Console

from vesalius.recipe import Recipe, load_recipe
from vesalius.run import Run
from vesalius.steps.evaluate import evaluate
from vesalius.steps.fit import fit
from vesalius.steps.predict import ask, predict
from vesalius.steps.prepare import cases
from vesalius.steps.report import report
from vesalius.system.files import write_atomic
from vesalius.training.memory import peak_memory_mb

BASELINES: Mapping[str, Mapping[str, Any]] = {
    "majority": {"name": "majority"},
    "nearest": {"name": "nearest"},
    "linear_probe": {"name": "linear_probe"},
}


def demo(folder: Path, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run everything into ``folder`` and print the result as one JSON object, last of all."""
    started = time.perf_counter()
    console = Console()
    with as_file(files("vesalius.steps") / "demo.yaml") as file:
        recipe = load_recipe(file, overrides)
    console.rule("a phantom cohort, a small vision-language model, three baselines")
    run = _fitted(recipe, folder / "nano", console)
    scores = {"exact_match": _exact_match(run)}
    predict(run, change="blank")
    scores["blank_image"] = _exact_match(run, "blank")
    others = []
    for name, block in BASELINES.items():
        changed = {"name": name, "model": dict(block), "retrieve": None}  # one index is enough
        other = recipe.model_copy(update=changed)
        others.append(_fitted(other, folder / name, console))
        scores[name] = _exact_match(others[-1])
    page = folder / "report.html"
    report(run, *others, out=page)
    _ask_one(run, folder, console)
    result = {
        **{name: round(value, 4) for name, value in scores.items()},
        "seconds": round(time.perf_counter() - started, 1),
        "peak_memory_mb": round(peak_memory_mb()),
        "run": str(run.path),
        "report": str(page),
    }
    _say_where(folder, page, console)
    print(json.dumps(result))  # noqa: T201  # the last line is for machines
    return result


def _fitted(recipe: Recipe, folder: Path, console: Console) -> Run:
    """A fitted run with its answers to the test split, its scores written."""
    console.print(f"[bold]{recipe.name}[/] -> {folder}")
    run = fit(recipe, folder)
    predict(run)
    return run


def _exact_match(run: Run, name: str = "") -> float:
    return evaluate(run, name).score("squad.em").value


def _ask_one(run: Run, folder: Path, console: Console) -> None:
    """Ask about the first held-out picture, as a user would about a file of theirs."""
    data = run.recipe().data
    case = next(cases(data, data.splits.test))
    image = folder / "case.png"
    write_atomic(image, case.pictures[0].read())
    question = next((q for q in case.questions if q.category == "presence"), case.questions[0])
    answer = ask(run, image, question.text)
    sure = f", confidence {answer.confidence.value:.2f}" if answer.confidence else ""
    console.rule("one question")
    console.print(f"picture  {image}\nquestion {question.text}\nanswer   {answer.text}{sure}")
    console.print(f"truth    {question.answers[0].text}")


def _say_where(folder: Path, page: Path, console: Console) -> None:
    console.rule("where everything is")
    console.print(
        f"report   {page}\nruns     {folder}/nano and the baselines beside it\n"
        f"next     vesalius ask {folder}/case.png 'which organ is shown?' --run {folder}/nano\n"
        f"         vesalius retrieve {folder}/case.png --run {folder}/nano\n"
        f"         vesalius web --run {folder}/nano       (a chat page in the browser)\n"
        "         vesalius fit recipes/phantom-nano.yaml --dry-run\n"
        "         your own data in one command: docs/guide/own-data.md\n"
        "Drawn phantoms, random weights at the start: this shows the machinery, not medicine.\n"
        "Research use only; not a medical device.",
        highlight=False,
    )
