"""Checklist: reporting guidelines, filled in as far as a run knows; the rest is for its authors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vesalius.cases.tasks import task_of
from vesalius.errors import RunError
from vesalius.evaluation.caveats import limits
from vesalius.evaluation.evaluate import evaluate_run
from vesalius.evaluation.formatting import flat
from vesalius.evaluation.prediction_sets import prediction_sets
from vesalius.evaluation.probe_results import probes_of
from vesalius.evaluation.score import ALL, Evaluation
from vesalius.recipe import Data
from vesalius.run import Run
from vesalius.steps.claim import check_claims
from vesalius.steps.export_card import about_data
from vesalius.system.files import write_atomic, write_json
from vesalius.system.tables import packaged_table

OPEN = "to be completed"
WORDS = """The items are in our words; the published checklist decides. What stands below an item
comes from the run and is a draft."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a guideline asks, and what the run says of it; nothing where only its authors can."""

    number: int
    asks: str
    known: tuple[str, ...]

    @property
    def state(self) -> str:
        """Nothing is ever complete: what is known is a draft."""
        return "draft, to be checked" if self.known else OPEN


def checklists(run: Run, folder: Path | str) -> list[Path]:
    """Write each guideline as Markdown and JSON into ``folder``, and return the files.

    RunError where the run has no predictions of its test split.
    """
    if not run.predictions_file().exists():
        hint = f"vesalius predict --run {run.path}"
        raise RunError("has no predictions to report", where=run.path, hint=hint)
    facts = _facts(run)
    written = []
    for name, guideline in _guidelines().items():
        items = [
            Item(number, row["asks"], tuple(line for key in row["facts"] for line in facts[key]))
            for number, row in enumerate(guideline["items"], start=1)
        ]
        path = Path(folder) / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _markdown(run, guideline, items))
        rows = [{**asdict(item), "state": item.state} for item in items]
        head = {"title": guideline["title"], "source": guideline["source"], "run": run.name}
        write_json(path.with_suffix(".json"), head | {"items": rows})
        written += [path, path.with_suffix(".json")]
    return written


def _markdown(run: Run, guideline: Mapping[str, Any], items: Sequence[Item]) -> str:
    lines = [
        f"# {guideline['title']}: {run.name}",
        "",
        f"{guideline['source']}. {WORDS}",
        "",
        "Research use only, not a medical device.",
        "",
    ]
    for item in items:
        known = [f"   - {line}" for line in item.known]
        lines += [f"{item.number}. **{item.asks}** ({item.state})", *known]
    return "\n".join(lines) + "\n"


def _facts(run: Run) -> dict[str, list[str]]:
    """What a run knows, by the names that the guidelines' items use."""
    recipe, status, evaluation = run.recipe(), run.status(), evaluate_run(run)
    data, about = recipe.data, about_data(recipe.data)
    noted = status.get("data", {})
    model = {k: v for k, v in recipe.model.items() if k not in ("training", "members")}
    sets = [name for name in prediction_sets(run) if name]
    return {
        "description": [recipe.description] if recipe.description else [],
        "data": [f"{about['title']}. {about['citation']}", about["use"]],
        "licence": [f"licence of the data: {about['licence']}"],
        "task": _task(data),
        "preprocessing": [f"{key}: {text}" for key, text in flat(data.options)],
        "selection": [f"at most {n} cases of {name}" for name, n in data.limit.items()]
        + ([f"categories {', '.join(data.categories)}"] if data.categories else []),
        "missing": [
            f"{count:,} of {evaluation.facts['predictions']:,} answers: {name.replace('_', ' ')}"
            for name, count in evaluation.facts.items()
            if name not in ("predictions", "groups")
        ],
        "split": [f"{name}: {value}" for name, value in data.splits.model_dump().items() if value],
        "leaks": [f"splits that share cases: {data.leaks}; found {dict(noted.get('leaks', {}))}"],
        "audit": [f"{key}: {text}" for key, text in flat(status.get("audit", {}))]
        or ["not audited (vesalius data audit --html)"],
        "size": [
            f"{split}: {one['dialogues']:,} dialogues, {one['pictures']:,} pictures"
            for split, one in noted.items()
            if isinstance(one, Mapping) and "dialogues" in one
        ]
        + [f"scored: {evaluation.facts['predictions']:,} in {evaluation.facts['groups']:,} groups"],
        "model": [f"{key}: {text}" for key, text in flat(model)],
        "members": [f"members: {', '.join(recipe.members())}"] if recipe.members() else [],
        "weights": [f"weights before training: {status.get('weights', 'unknown')}"],
        "training": [f"{k}: {v}" for k, v in flat(recipe.model.get("training") or {})]
        + [f"seed: {recipe.seed}"],
        "chosen": [f"{key}: {status[key]}" for key in ("best_step", "stopped") if key in status],
        "cost": [f"{k}: {v}" for k, v in flat(status) if "seconds" in k or "memory" in k],
        "decoding": [f"{k}: {v}" for k, v in flat(recipe.decoding.model_dump())],
        "software": [f"{k} {v}" for k, v in run.environment()["packages"].items()],
        "metrics": [f"{name}: {p['implementation']}" for name, p in evaluation.protocols.items()],
        "intervals": [
            f"{evaluation.level:.0%} intervals, {evaluation.resamples:,} resamples of whole groups",
            f"seed {evaluation.seed}",
        ],
        "results": _scores(evaluation, "headline"),
        "baselines": _scores(evaluation, "baseline"),
        "slices": sorted({s.slice for s in evaluation.scores if s.slice != ALL}),
        "sets": [f"further sets of predictions: {', '.join(sets)}"] if sets else [],
        "probes": _probes(run),
        "claims": [str(verdict) for verdict in check_claims(run)],
        "limits": limits(evaluation, recipe, status),
        "recipe": [f"recipe {recipe.digest()}, in the run as recipe.yaml"],
    }


def _task(data: Data) -> list[str]:
    """The task, and what every case is asked where it is the same."""
    one = task_of(data.task).asks == "instruction"
    return [f"task: {data.task}", *([f"asked of every case: {data.instruction}"] if one else [])]


def _scores(evaluation: Evaluation, role: str) -> list[str]:
    return [
        f"{score.metric} {score} (n = {score.n:,})"
        for score in evaluation.overall()
        if score.measured and evaluation.role(score) == role
    ]


def _probes(run: Run) -> list[str]:
    probes = probes_of(run)
    return probes.fresh(run).verdict() if probes is not None else []


@cache
def _guidelines() -> Mapping[str, Mapping[str, Any]]:
    guidelines: Mapping[str, Mapping[str, Any]] = packaged_table(
        "vesalius.evaluation", "checklists.yaml"
    )
    return guidelines
