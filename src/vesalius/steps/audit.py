"""Audit: everything that makes a score on a data set worth less than it looks, as one verdict."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import NamedTuple

from vesalius.data.datasets import Dataset
from vesalius.data.inspection import Inspect, inspect_recorded
from vesalius.data.survey.balance import balance_checks
from vesalius.data.survey.figures import Pair, per_cent
from vesalius.data.survey.pictures import NO_PICTURES, picture_checks
from vesalius.data.survey.survey import Survey, survey
from vesalius.data.survey.verdict import Result, Verdict, by_rule, measured, unmeasured
from vesalius.data.survey.words import word_checks
from vesalius.data.text_sample import TextSample
from vesalius.errors import DatasetError, install_command
from vesalius.evaluation.stats import wilson
from vesalius.steps.answer_check import answer_check
from vesalius.steps.answer_sight import Sight, coarse_sight, encoded_sight
from vesalius.steps.shortcuts import shortcuts
from vesalius.system.parallel import progress_bar
from vesalius.system.version import __version__

TEXT_SAMPLE = 60
"""Pictures that are searched for text: about 0.4 seconds of one core each."""


class Audited(NamedTuple):
    """A verdict, and what was read for it."""

    verdict: Verdict
    survey: Survey


def audit(
    dataset: Dataset,
    name: str,
    *,
    text_sample: int | None = TEXT_SAMPLE,
    seed: int = 0,
    inspect: Inspect = inspect_recorded,
    encoder: str | None = None,
) -> Audited:
    """Look at every case of a data set once and judge it by every check.

    ``text_sample``: how many different pictures are searched for text, drawn by ``seed`` and their
    bytes; None: all, 0: none. ``inspect``: how cases get what their pictures tell. ``encoder``: by
    whose vectors, instead of small pictures, answers are doubted (every picture is read once more).
    What cannot be measured says why. DatasetError for a set without a case; ModelError and
    MissingExtra for an encoder that is not there, before anything is read.
    """
    if encoder is not None:
        from vesalius.models.encoders import require_encoder

        require_encoder(encoder)
    whole = survey(dataset, TextSample(text_sample, seed), inspect)
    if not whole.members:
        raise DatasetError("holds no case to audit", where=name)
    sight = (
        coarse_sight(whole.thumbnails)
        if encoder is None
        else encoded_sight(dataset, whole.rows, encoder)
    )
    results = by_rule([*_results(whole, sight, seed)])
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Audited(Verdict(name, now, whole.contents, results, __version__), whole)


def _results(whole: Survey, sight: Sight, seed: int) -> Iterator[Result]:
    yield from picture_checks(whole)
    yield from word_checks(whole)
    yield from balance_checks(whole)
    yield from shortcuts(whole, seed)
    yield answer_check(whole, sight, seed)
    yield _burned_in(whole)


def _burned_in(whole: Survey) -> Result:
    """The share of sampled pictures with text, with Wilson's interval; never what it says."""
    if not whole.different:
        return unmeasured("burned_in", NO_PICTURES)
    if not len(whole.text):
        return unmeasured("burned_in", "it was not looked for (--text-sample)")
    if find_spec("rapidocr") is None:
        return unmeasured("burned_in", f"it is not looked for: {install_command('ocr')}")
    with progress_bar("looking for text", len(whole.text)) as advance:
        marked = [(key, len(regions)) for _, key, regions in whole.text.search(advance) if regions]
    n, total = len(marked), len(whole.text)
    low, high = wilson(n, total)
    words = (
        f"{n:,} of {total:,} pictures have text in them ({per_cent(n / total)}, 95 % interval "
        f"{per_cent(low)} to {per_cent(high)}), of {whole.different:,} different ones."
    )
    pairs = tuple(
        Pair((key,), f"{lines} line{'' if lines == 1 else 's'} of text") for key, lines in marked
    )
    facts = {"searched": total, "with_text": n, "low": low, "high": high}
    return measured("burned_in", n / total, words, facts=facts, pairs=pairs)
