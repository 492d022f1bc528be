"""The model card that goes with exported weights: how they were made, how they score, limits."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from vesalius.cases.tasks import task_of
from vesalius.data.cards import card
from vesalius.errors import DatasetError, UnknownName
from vesalius.evaluation.caveats import limits, of_audit
from vesalius.evaluation.engine_parity import noted
from vesalius.evaluation.evaluate import evaluate_run
from vesalius.evaluation.score import Evaluation, Score
from vesalius.models.build import build
from vesalius.models.capabilities import Carded, HubCard
from vesalius.recipe import Data, Recipe
from vesalius.run import Run
from vesalius.steps.claim import check_claims
from vesalius.steps.members import member_runs
from vesalius.steps.mix import parts
from vesalius.steps.verification import BASES, NOTHING, Verified, scored_in
from vesalius.system.files import read_json

TEXT = """---
{{ card_data }}
---

# {{ name }}

{{ description }}

**Research use only. This is not a medical device; nothing it says may guide the care of a
patient.**

## Intended use

Research on medical images with words. {{ data_use }}

## How it was made

{{ made }}

Data: {{ data_title }} (licence: {{ data_licence }}). {{ data_citation }}

## Scores

{{ scores }}

## Claims

{{ claims }}

## Limits

{{ limits }}

## Use

{{ use }}
"""
USE = """```python
{code}
```

or, with Vesalius, as `weights: FOLDER` in a recipe's `model:` block. {asking}"""
CODE = """from transformers import {loader}, {processor}

model = {loader}.from_pretrained("FOLDER")
processor = {processor}.from_pretrained("FOLDER")"""
LICENSED = (
    """These weights were trained with software under {0}, and may be passed on only under {0}."""
)
_TASK_TYPES = {"questions": "visual-question-answering", "instruction": "image-to-text"}
_BOXES = "object-detection"
NO_CLAIM = "No claim was stated before the test split was answered."
ADAPTER = """An adapter (PEFT) on the base model named above, with its processor. In Vesalius, name
the run that it came from; in PEFT, `PeftModel.from_pretrained(base, "FOLDER")`."""
FOUR_BIT = """

It was trained on this base in 4 bits: quantise the base as the recipe does (NF4, double
quantisation, linear layers of the language model) before the adapter is put on it. On the plain
base it is another model, whose answers are counted above."""


def model_card(
    run: Run,
    checks: str,
    verified: Verified = NOTHING,
    *,
    merged: bool,
    licence: str | None = None,
) -> str:
    """The card as Markdown with the hub's metadata (model-index) at its head.

    Scores are those of the run's predictions on its test split, with protocol, interval and count,
    and of which model these answers are; without predictions the card says that nothing was
    measured. ``checks`` tells how the exported weights were verified, ``verified`` what they answer
    beside the run.
    """
    recipe = run.recipe()
    evaluation = evaluate_run(run) if run.predictions_file().exists() else None
    about = about_data(recipe.data)
    loaded = hub_card(recipe)
    given = {
        "name": recipe.name,
        "description": recipe.description or "A vision-language model for medical images.",
        "data_use": about["use"],
        "data_title": about["title"],
        "data_licence": about["licence"],
        "data_citation": about["citation"],
        "made": "\n".join(f"- {line}" for line in _made(run, checks)),
        "scores": "\n\n".join([*_whose(run, evaluation, verified), _table(evaluation)]),
        "claims": "\n".join(f"- {one}" for one in check_claims(run)) or NO_CLAIM,
        "limits": "\n".join(
            f"- {said}" for said in [*_licensed(licence), *_held(run), *_limits(run, evaluation)]
        ),
        "use": _use(loaded) if merged else _adapter(recipe),
    }
    base = recipe.model.get("weights")
    data = ModelCardData(
        model_name=recipe.name,
        license=licence or "other",
        library_name=loaded.library if merged else "peft",
        pipeline_tag=loaded.pipeline,
        base_model=base,
        tags=["medical", "vesalius", "research-only"],
        eval_results=list(_results(run, evaluation)) or None,
    )
    return str(ModelCard.from_template(data, template_str=TEXT, **given))


def hub_card(recipe: Recipe) -> HubCard:
    """How the weights of a recipe's model are loaded by others, and their licence."""
    learner = build(recipe.model)
    return learner.card if isinstance(learner, Carded) else HubCard()


def _use(loaded: HubCard) -> str:
    plain = CODE.format(loader=loaded.loader, processor=loaded.processor)
    return USE.format(code=loaded.code or plain, asking=loaded.remark)


def _licensed(licence: str | None) -> Iterator[str]:
    """What is to be said of a licence that passes to whatever is made of the weights."""
    if licence is not None and "gpl" in licence.lower():
        yield LICENSED.format(licence.upper())


def about_data(data: Data) -> dict[str, str]:
    """What the card says of the data: of the recipe's own set, and which are mixed in."""
    own, *others = (_about_set(part.data) for part in parts(data))
    if not others:
        return own
    joined = {
        key: "; ".join(dict.fromkeys(one[key] for one in (own, *others) if one[key]))
        for key in ("licence", "citation", "use")
    }
    titles = ", ".join(one["title"] for one in others)
    return {"title": f"{own['title']}, mixed with {titles}"} | joined


def _about_set(data: Data) -> dict[str, str]:
    name = data.dataset
    if data.drawn:
        title = f"phantoms drawn in the layout of {name}"
        return {"title": title, "licence": "none needed", "citation": "", "use": ""}
    try:
        found = card(name)
    except (UnknownName, DatasetError):  # a data set of another package, without a card of ours
        return {"title": name, "licence": "see its publisher", "citation": "", "use": ""}
    return {
        "title": found.title,
        "licence": found.licence,
        "citation": found.citation,
        "use": found.intended_use,
    }


def _made(run: Run, checks: str) -> Iterator[str]:
    recipe, status = run.recipe(), run.status()
    yield f"weights before training: {status.get('weights', 'unknown')}"
    for part, counted in status.get("parts", {}).items():
        yield f"{part}: {counted['trainable']:,} of {counted['parameters']:,} weights trained"
    train = status.get("data", {}).get("train", {})
    if train:
        yield f"{train['dialogues']:,} dialogues on {train['pictures']:,} pictures"
    if recipe.model.get("quantization"):
        yield f"trained on {BASES[recipe.model['quantization']]}, which stayed frozen"
    if status.get("start_quantization"):
        yield (
            f"starts from a run with {BASES[status['start_quantization']]}: its adapter was merged "
            "into the plain base, which is another model than the one that run was scored with"
        )
    if "steps" in status:
        yield f"{status['steps']:,} optimizer steps, seed {recipe.seed}"
    packages = run.environment()["packages"]
    named = ("vesalius", "torch", "transformers", "peft")
    yield ", ".join(f"{name} {packages[name]}" for name in named if name in packages)
    yield f"recipe {recipe.digest()}"
    if checks:
        yield checks
    if served := noted(run):
        counted = f"{served['answers equal']} answers equal"
        yield f"through a server ({served['at'][:10]}): {served['verdict']}; {counted}"


def _whose(run: Run, evaluation: Evaluation | None, verified: Verified) -> Iterator[str]:
    """Which model the scores are of, and how many of its answers the exported weights give."""
    quantization = scored_in(run)
    if evaluation is None or not (verified.equal or quantization):
        return
    yield f"These are scores of the run's own answers, given with {BASES[quantization]}."
    if verified.stored:
        yield f"The weights here were not scored anew: {verified.counts}."


def _adapter(recipe: Recipe) -> str:
    return ADAPTER + (FOUR_BIT if recipe.model.get("quantization") else "")


def _table(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return "Nothing was measured."
    level = f"{evaluation.level * 100:g} %"
    constants = [one for one in evaluation.constants if one.values]
    heads = "".join(f" {one.name} |" for one in constants)
    lines = [
        f"| score | value [{level} interval] | n | groups | protocol |{heads}",
        "| --- | --- | --- | --- | --- |" + " --- |" * len(constants),
    ]
    for s in evaluation.overall():
        cells = "".join(f" {one.cell(s.metric)} |" for one in constants)
        lines.append(f"| {s.metric} | {s} | {s.n} | {s.groups} | {s.protocol} |{cells}")
    lines += ["", *(f"- {one}" for one in constants)] if constants else []
    said = [
        f"`{name}`: " + ", ".join(f"{key} {value}" for key, value in protocol.items() if value)
        for name, protocol in evaluation.protocols.items()
    ]
    return "\n".join([*lines, "", *said])


def _held(run: Run) -> Iterator[str]:
    """What a copy with members holds of training cases, in its own index and in theirs."""
    members = member_runs(run)
    for holder in (run, *members.values()) if members else ():
        about = holder.index / "about.json"
        if about.exists():
            facts = read_json(about)
            words = "every word" if facts["settings"].get("whole") else "words"
            side = facts["settings"]["thumbnails"]
            small = f", and small pictures of them ({side} pixels)" if side else ""
            yield (
                f"The copy holds {words} that experts said of {facts['cases']:,} training cases"
                f"{small}: it may go only to those who may have the data."
            )


def _limits(run: Run, evaluation: Evaluation | None) -> list[str]:
    if evaluation is None:
        return ["Its answers were not scored before it was exported.", of_audit(run.status())]
    return limits(evaluation, run.recipe(), run.status())


def _results(run: Run, evaluation: Evaluation | None) -> Iterator[EvalResult]:
    recipe = run.recipe()
    task = task_of(recipe.data.task)
    for score in [] if evaluation is None else evaluation.overall():
        if math.isnan(score.value):
            continue
        yield EvalResult(
            task_type=_BOXES if task.references == "boxes" else _TASK_TYPES[task.asks],
            dataset_type=recipe.data.dataset,
            dataset_name=about_data(recipe.data)["title"],
            dataset_split=recipe.data.splits.test,
            metric_type=score.metric,
            metric_value=round(score.value, 4),
            metric_name=_metric_name(score, evaluation, scored_in(run)),
            metric_config=score.protocol,
            metric_args=_metric_args(score, evaluation),
        )


def _metric_args(score: Score, evaluation: Evaluation | None) -> dict[str, Any]:
    """What it takes to read the score, for programs: counts, interval and protocol."""
    facts: dict[str, Any] = {"n": score.n, "groups": score.groups}
    if evaluation is None:
        return facts
    if not math.isnan(score.low):
        bounds = {"low": round(float(score.low), 4), "high": round(float(score.high), 4)}
        facts["interval"] = bounds | {"level": evaluation.level, "method": score.interval}
    protocol = evaluation.protocols.get(score.protocol, {})
    # What is of all metrics of a protocol (which is better, its baselines) stands in the text once.
    plain: dict[str, Any] = {k: v for k, v in protocol.items() if v and isinstance(v, str)}
    if protocol.get("parameters"):
        plain["parameters"] = json.loads(json.dumps(protocol["parameters"], default=str))
    return facts | {"protocol": plain}


def _metric_name(score: Score, evaluation: Evaluation | None, quantization: str | None) -> str:
    level = "" if evaluation is None else f"{evaluation.level:.0%} interval "
    bounds = "" if math.isnan(score.low) else f", {level}{score.low:.3f} to {score.high:.3f}"
    given = f", answers of {BASES[quantization]}" if quantization else ""
    return f"{score.metric} (protocol {score.protocol}, n = {score.n}{bounds}{given})"
