"""What a reader of scores must be told that the scores do not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vesalius.evaluation.coverage import remarks
from vesalius.evaluation.score import Evaluation
from vesalius.evaluation.self_test.verdicts import blind_to
from vesalius.recipe import Recipe

_COUNTED = {
    "unread": "have a reference that its tokeniser cannot read, and are not measured (other "
    "scripts: rouge:tokens=unicode, bleu:tokenize=char)",
    "cut": "have a text that is longer than its model reads, and are scored without the end",
    "outside": "are of a modality that it was not made for, and are scored all the same",
    "apart": "name neither case nor picture, and are in no dialogue",
}
_FEW = 30  # groups below which a percentile interval covers less than it says


def limits(evaluation: Evaluation, recipe: Recipe, status: Mapping[str, Any]) -> list[str]:
    """Sentences on what these scores cannot carry, the gravest first."""
    facts, groups = evaluation.facts, evaluation.facts.get("groups", 0)
    sentences = [
        *_of_weights(recipe, status),
        *of_answers(status, facts.get("predictions", 0), evaluation.predictions_sha256),
        *remarks(evaluation.coverage),
        of_audit(status),
        *_of_counts(facts),
        *of_metrics(evaluation),
        _of_intervals(evaluation, groups),
    ]
    small = sorted({s.slice for s in evaluation.scores if s.groups < _FEW and s.slice != "all"})
    if groups < _FEW:
        sentences.append(
            f"{groups} groups are few: the intervals are narrower than they should be."
        )
    elif small:
        sentences.append(f"Fewer than {_FEW} groups, so read with care: {', '.join(small)}.")
    sentences += unseen(evaluation)
    sentences.append(
        "The baseline of always giving the most frequent answer knows the test references; a "
        "system that does not clearly beat it has learnt little from the picture."
    )
    return sentences


def of_answers(status: Mapping[str, Any], n: int, sha256: str | None = None) -> list[str]:
    """Where the ``n`` answers that were scored are not all that the run gave, or others.

    ``sha256`` is the hash of their file.
    """
    noted = status.get("predictions", {}).get("test")
    if noted is None:
        return []
    departure = _departure(noted, n, sha256)
    if departure:
        return [departure]
    if n <= noted.get("limit", 0):
        return [f"Only the first {noted['limit']:,} questions of the split were asked."]
    return []


def as_predicted(status: Mapping[str, Any], n: int, sha256: str) -> bool:
    """Whether ``n`` answers in a file of that hash are known to be all that predict wrote."""
    noted = status.get("predictions", {}).get("test", {})
    return noted.get("sha256") == sha256 and not _departure(noted, n, sha256)


def _departure(noted: Mapping[str, Any], n: int, sha256: str | None) -> str:
    """How the answers are others than predict noted; empty where they are not."""
    if not noted.get("complete", True):
        return f"The answers are not complete: predict was stopped, and {n:,} were scored."
    if noted.get("n", n) != n:
        what = f"{n:,} answers were scored, and predict noted {noted['n']:,}"
        return f"{what}: some were taken out of the file, or put in."
    if sha256 and noted.get("sha256", sha256) != sha256:
        return "The file of answers is not as predict wrote it: it was changed since."
    return ""


def unseen(evaluation: Evaluation) -> list[str]:
    """What the scores are blind to in the gallery of texts with one thing wrong, if it is known."""
    blind: dict[str, list[str]] = {}
    for score in evaluation.overall():
        kinds = ", ".join(blind_to(score.protocol, score.metric)) if score.measured else ""
        if kinds:
            blind.setdefault(kinds, []).append(score.metric)
    what = "; ".join(f"{', '.join(scores)}: {kinds}" for kinds, scores in blind.items())
    return [f"What these metrics cannot see (vesalius metrics test): {what}."] if what else []


def of_metrics(evaluation: Evaluation) -> list[str]:
    """What is not measured for want of weights; each count of rows unread, cut or left out."""
    total = evaluation.facts.get("predictions", 0)
    return absences(evaluation.protocols) + [
        f"{protocol}: {count} of {total} {_COUNTED[name]}."
        for protocol, counts in evaluation.counts.items()
        for name, count in counts.items()
        if name in _COUNTED
    ]


def absences(protocols: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each reason why scores of a metric are not measured here."""
    reasons: dict[str, list[str]] = {}
    for facts in protocols.values():
        for score, reason in facts.get("absent", {}).items():
            reasons.setdefault(reason, []).append(score)
    return [f"{', '.join(names)} not measured: {reason}." for reason, names in reasons.items()]


def of_audit(status: Mapping[str, Any]) -> str:
    """What an audit said of the run's data, of each set of a mix, or that there was none."""
    note = status.get("audit") or {}
    if "sets" in note:
        return " ".join(f"{name}: {_audited(one)}" for name, one in note["sets"].items())
    return _audited(note)


def _audited(note: Mapping[str, Any] | None) -> str:
    """A verdict with its date, and whether it is of these very data."""
    if not note:
        return "The data were not audited (vesalius data audit NAME --html)."
    date, digest = note["date"][:10], note["sha256"][:12]
    if not note["current"]:
        return (
            f"The data were not audited as they are: the audit of {date} is of other cases or "
            f"another part of them ({digest}); it said: {note['headline']}."
        )
    parts = [
        f"{name}: {', '.join(titles)}"
        for name, titles in (("faults", note["faults"]), ("doubts", note["doubts"]))
        if titles
    ]
    listed = f" ({'; '.join(parts)})" if parts else ""
    return f"Audit of the data, {date} ({digest}): {note['headline']}{listed}."


def _of_intervals(evaluation: Evaluation, groups: int) -> str:
    sure = any(score.interval == "wilson" for score in evaluation.scores)
    wilson = " (Wilson's interval where every resample scores the same)" if sure else ""
    return (
        f"Intervals come from {evaluation.resamples:,} resamples of {groups} whole groups "
        f"(patient, else image){wilson}. They cover the choice of test cases: not that of the "
        "training seed, and no change of scanner, hospital or question style."
    )


def _of_weights(recipe: Recipe, status: Mapping[str, Any]) -> list[str]:
    sentences = []
    if status.get("weights") == "random":
        sentences.append(
            "The weights were random before training: this run shows that the machinery works, "
            "and says nothing about what the architecture can do with its real weights."
        )
    if recipe.data.dataset == "phantom" or recipe.data.drawn:
        sentences.append("The pictures are drawn phantoms, not patients: no score here is medical.")
    return sentences


def _of_counts(facts: Mapping[str, int]) -> list[str]:
    notes = {
        "without_reference": "have no reference answer and are scored nowhere",
        "empty": "are empty and count as wrong",
        "abstained": "are abstentions, scored like any other answer",
        "cut_at_limit": "were cut at the token limit",
        "no_words": "are nan, None, NULL or like it, what programs write for an absent value, and "
        "are scored as they stand",
        "no_words_in_references": "have such a word as their reference",
    }
    total = facts.get("predictions", 0)
    return [
        f"{facts[name]} of {total} answers {note}."
        for name, note in notes.items()
        if facts.get(name)
    ]
