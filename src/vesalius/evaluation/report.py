"""One self-contained HTML page on a run and its baselines: no script, no external resource."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.evaluation import calibration, plots
from vesalius.evaluation.caveats import limits
from vesalius.evaluation.claims import Verdict
from vesalius.evaluation.clean import CleanSubset
from vesalius.evaluation.detection_plots import box_plots
from vesalius.evaluation.engine_parity import noted
from vesalius.evaluation.formatting import flat
from vesalius.evaluation.gain import Gain
from vesalius.evaluation.gallery import Pictures, ReportCase, choose, row_scores, thumbnail
from vesalius.evaluation.judging.results import judge_results
from vesalius.evaluation.long_tail import TailRow, by_frequency, by_type, concept_counts
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.metrics.confidence import certainty
from vesalius.evaluation.page_template import template
from vesalius.evaluation.power import power_line
from vesalius.evaluation.prediction_sets import SLICES, prediction_sets
from vesalius.evaluation.probe_results import probes_of
from vesalius.evaluation.probes import Probe
from vesalius.evaluation.run_results import RunResults, against, changed
from vesalius.evaluation.score import ALL, Evaluation, Score
from vesalius.evaluation.self_test.gallery import KINDS, modalities
from vesalius.evaluation.self_test.verdicts import sights
from vesalius.run import Run
from vesalius.system.files import read_lines, write_atomic
from vesalius.system.version import __version__

_EACH = 6  # cases shown of each kind
_QUANTITIES = {
    "remains": ("Left of the score", "1: all of it"),
    "flips": ("Answers that change", "share of those asked"),
    "lost": ("Right answers that are lost", "share of those that were right"),
}
_CURVES = frozenset({"step", "epoch", "loss", "grad_norm", "learning_rate"})


@dataclass(frozen=True, slots=True)
class Block:
    """A small plot with its title and what it rests on."""

    title: str
    note: str
    plot: str


def report(
    runs: Sequence[Run],
    out: Path,
    pictures: Pictures,
    *,
    gain: Gain | None = None,
    claims: Sequence[Verdict] = (),
) -> Path:
    """Write the page on ``runs`` to ``out``: the first run is the main one, others its baselines.

    ``pictures`` gives the encoded bytes for a prediction's picture key, or None; ``gain`` is what
    the main run gains as a combination, ``claims`` what became of its claims. RunError where a run
    has no predictions or nothing could be measured.
    """
    if not runs:
        raise RunError("a report needs at least one run")
    main, *others = [RunResults.of(run) for run in runs]
    spec, primary = main.primary
    baselines = against(main, others, spec, primary)
    stored = probes_of(main.run)
    probes = stored and stored.fresh(main.run)
    page = template("report.html").render(
        version=__version__,
        main=main,
        others=others,
        primary=primary,
        weights=_weights(main),
        headline=_headline(main),
        constants=[one for one in main.evaluation.constants if one.values],
        baselines=baselines,
        power=power_line((d for _, d in baselines if d is not None), main.evaluation.level),
        probes=probes,
        probe_blocks=_probe_blocks(probes.measured) if probes else [],
        stale=stored.stale(main.run) if stored else [],
        changed=changed(main, spec, primary, probes.sets.values() if probes else ()),
        clean=CleanSubset.from_json(main.evaluation.clean) if main.evaluation.clean else None,
        gain=gain,
        claims=claims,
        blocks=_blocks([main, *others]),
        table=_table([main, *others]),
        slices=_slices([main, *others], primary),
        curves=_curves(main.run),
        calibrated=_calibrated(main.predictions),
        tail=_tail(main),
        judges=judge_results(main.run),
        boxes=box_plots(main.predictions, main.recipe.evaluation.metrics),
        cases=_cases(main, spec, primary, pictures),
        facts=[(name.replace("_", " "), value) for name, value in _facts(main)],
        environment=main.run.environment(),
        hashes=_hashes(main.run),
        limits=limits(main.evaluation, main.recipe, main.status),
        sights=sights(main.evaluation),
        kinds=KINDS,
        modalities=modalities(),
    )
    write_atomic(out, page)
    return out


def _facts(main: RunResults) -> Iterator[tuple[str, str]]:
    """What the run notes of itself, and of the last server of its weights."""
    yield from flat(main.status, " · ")
    yield from ((f"server parity · {name}", value) for name, value in noted(main.run).items())


def _weights(main: RunResults) -> str | None:
    weights = main.status.get("weights")
    return weights if isinstance(weights, str) else None


def _headline(main: RunResults) -> list[Score]:
    """The first few scores for which more is better."""
    good = [s for s in main.evaluation.overall() if main.evaluation.better(s) == "higher"]
    return [s for s in good if s.measured and main.evaluation.role(s) == "headline"][:4]


def _blocks(runs: Sequence[RunResults]) -> list[Block]:
    main = runs[0]
    return [
        _block(score, runs, ALL, score.metric)
        for score in main.evaluation.overall()
        if score.measured and main.evaluation.role(score) == "headline"
    ]


def _probe_blocks(probes: Sequence[Probe]) -> list[Block]:
    """What is left of the score under each change, and how many answers each moves."""
    blocks = []
    for quantity, (title, note) in _QUANTITIES.items():
        own = [(row.name, row.scores[quantity]) for row in probes if row.quantity == quantity]
        dots = [_dot(name, score) for name, score in own if score.measured]
        ends = [end for dot in dots for end in (dot.value, dot.high) if not isnan(end)]
        if dots:
            blocks.append(Block(title, note, plots.whiskers(dots, 0.0, max(1.0, *ends))))
    return blocks


def _slices(runs: Sequence[RunResults], primary: Score) -> dict[str, list[Block]]:
    blocks: dict[str, list[Block]] = {}
    for by in SLICES:
        parts = [s for s in runs[0].evaluation.by(by) if s.metric == primary.metric]
        if parts:
            named = [(s, s.slice.partition("=")[2]) for s in parts]
            blocks[by] = [_block(s, runs, s.slice, name) for s, name in named]
    return blocks


def _block(score: Score, runs: Sequence[RunResults], part: str, title: str) -> Block:
    dots = []
    for i, one in enumerate(runs):
        s = _find(one.evaluation, score, part)
        if s is not None:
            dots.append(_dot(one.run.name, s, strong=i == 0))
    name = runs[0].evaluation.baseline_of(score)
    baseline = name and _find(runs[0].evaluation, replace(score, metric=name), part)
    dots += [_dot("commonest answer", baseline)] if baseline else []
    dots += [
        plots.Dot(f"always {one.name}", value, nan, nan)
        for one in runs[0].evaluation.constants
        if (value := one.value(score.metric, part)) is not None
    ]
    ends = [v for d in dots for v in (d.value, d.low, d.high) if not isnan(v)]
    plot = plots.whiskers(dots, min(0.0, *ends), max(1.0, *ends))
    return Block(title, f"n = {score.n}, {score.groups} groups", plot)


def _dot(label: str, score: Score, *, strong: bool = False) -> plots.Dot:
    note = "" if isnan(score.low) else f"{score.low:.2f}–{score.high:.2f}"
    return plots.Dot(label, score.value, score.low, score.high, note, strong)


def _find(evaluation: Evaluation, score: Score, part: str) -> Score | None:
    same = (s for s in evaluation.scores if s.metric == score.metric and s.slice == part)
    return next((s for s in same if s.protocol == score.protocol), None)


def _table(runs: Sequence[RunResults]) -> list[tuple[Score, list[Score | None]]]:
    return [
        (score, [_find(one.evaluation, score, ALL) for one in runs])
        for score in runs[0].evaluation.overall()
    ]


def _curves(run: Run) -> Sequence[tuple[str, str]]:
    """The loss, and the scores on the validation split, over the steps of training."""
    if not run.log.exists():
        return []
    rows = [row for _, row in read_lines(run.log) if "step" in row]
    scored = sorted({k for row in rows for k, v in row.items() if isinstance(v, float)} - _CURVES)
    curves: list[tuple[str, str]] = []
    for title, keys in (("Training loss", ["loss"]), ("On the validation split", scored)):
        series = [
            (k, [(float(r["step"]), float(r[k])) for r in rows if r.get(k) is not None])
            for k in keys
        ]
        plot = plots.lines(series, across="step", up=", ".join(keys))
        if plot:
            curves.append((title, plot))
    return curves


def _calibrated(predictions: Sequence[Prediction]) -> dict[str, Any] | None:
    pairs = [pair for p in predictions if (pair := certainty(p)) is not None]
    if not pairs:
        return None
    confidence, right = np.array(pairs, dtype=np.float64).T
    methods = {p.confidence.method for p in predictions if p.confidence is not None}
    return {
        "n": len(pairs),
        "methods": sorted(methods),
        "reliability": plots.reliability(calibration.reliability(confidence, right)),
        "risk": plots.risk_coverage(*calibration.risk_coverage(confidence, right)),
    }


def _cases(main: RunResults, spec: Spec, primary: Score, pictures: Pictures) -> dict[str, Any]:
    name, scores = row_scores(main.predictions, spec, primary.metric)
    places = choose(main.predictions, scores, each=_EACH, seed=main.recipe.seed)
    names = {concept: facts.name for concept, facts in main.run.concepts().items()}
    cases = {
        kind: [
            ReportCase(
                p := main.predictions[i], float(scores[i]), thumbnail(p.picture, pictures), names
            )
            for i in chosen
        ]
        for kind, chosen in places.items()
    }
    boxes = any(card.picture and card.boxes() for cards in cases.values() for card in cards)
    kinds = {kind: cards for kind, cards in cases.items() if cards}
    return {"score": name, "kinds": kinds, "boxes": boxes}


def _tail(main: RunResults) -> dict[str, list[TailRow]]:
    """Concepts by training frequency and by type; nothing where the run has none."""
    concepts = main.run.concepts()
    counts = concept_counts(main.predictions) if concepts else {}
    if not counts:
        return {}
    rows = {"training frequency": by_frequency(counts, concepts)}
    kinds = by_type(counts, concepts)
    return rows | ({"semantic type": kinds} if kinds else {})


def _hashes(run: Run) -> dict[str, str]:
    files = [run.predictions_file(name) for name in prediction_sets(run)]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
