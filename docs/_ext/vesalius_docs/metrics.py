"""The metrics' reference: each entry's own protocol, and the names of the scores it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel

from vesalius_docs.settings import fields_of
from vesalius_docs.words import code, first_paragraph, prose, table

HEAD = """# Metrics

A score never travels without its protocol: who computed it, in which version, with which
parameters, after which normalisation, averaged over what. Name a metric in a recipe's
`evaluation.metrics`, or on the command line: `--metric squad -m rouge:stemmed=true`. What was not
measured is "not measured", never 0.
"""


def page() -> str:
    """Every registry entry's docstring, scores, protocol and parameters."""
    from vesalius.evaluation.metrics import metrics

    entries = {name: metrics[name] for name in metrics}
    rows = [
        (f"[{name}](#metric-{name})", first_paragraph(e.__doc__)) for name, e in entries.items()
    ]
    parts = [HEAD, table(("metric", "what it gives"), rows)]
    parts.append(_unseen())
    for name, entry in entries.items():
        parts += [f"(metric-{name})=", f"## {name}\n", prose(entry.__doc__) + "\n"]
        parts += [_scores(entry()), protocol(entry()), _parameters(entry)]
    return "\n".join(parts)


UNSEEN = """(metrics-cannot-see)=

## What they cannot see

Each score of made-up texts with one thing wrong, over all modalities, by default settings. What the
words mean: [metrics test](../guide/metrics-test.md).
"""


BLIND = """
### By modality

The kinds of change that a score is blind to, of the scores that are blind to any.
"""


def _unseen() -> str:
    """The verdicts of the metric self-test, a row a score: over all, then by modality."""
    from vesalius.evaluation.self_test.gallery import KINDS, modalities
    from vesalius.evaluation.self_test.verdicts import recorded, sight

    every = [sight(name, score) for name, scores in recorded().items() for score in scores]
    words = table(("score", *KINDS), ((code(one.metric), *one.words) for one in every))
    blind = table(
        ("score", *modalities()),
        (
            (code(one.metric), *map(", ".join, one.blind.values()))
            for one in every
            if any(one.blind.values())
        ),
    )
    return UNSEEN + "\n" + words + BLIND + "\n" + blind


def protocol(metric: Any) -> str:
    """What the metric says of itself, as a table."""
    facts = metric.protocol
    chosen = "; ".join(f"{key} = {value}" for key, value in facts.parameters.items())
    rows = {
        "implementation": facts.implementation,
        "version": facts.version,
        "parameters": f"`{chosen}`" if chosen else "",
        "normalisation": facts.normalisation,
        "averaging": facts.averaging,
    }
    return table(("protocol", ""), ((key, value) for key, value in rows.items() if value))


def score_names(metric: Any) -> list[str]:
    """The names of the scores, asked of the metric itself with one question."""
    from vesalius import Answer, Confidence, Prediction

    known = Answer(text="yes", concepts=("C0000001",))
    sure = Confidence(0.9, "example")
    one = Prediction(
        "1", known, references=(known,) * 3, kind="closed", confidence=sure, group="a", question="?"
    )
    return sorted(metric.aggregate(metric.measure([one]), np.ones((1, 1))))


def _scores(metric: Any) -> str:
    better = metric.protocol.better
    notes = {"lower": " (lower is better)", "neither": " (neither high nor low is better)"}
    names = [code(n) + notes.get(better.get(n, ""), "") for n in score_names(metric)]
    return f"Scores: {', '.join(names)}.\n"


def _parameters(entry: Any) -> str:
    if isinstance(entry, type) and issubclass(entry, BaseModel) and entry.model_fields:
        return fields_of(entry)
    return ""
