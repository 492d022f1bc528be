"""Contradictions between answers about one picture, counted by hand."""

from __future__ import annotations

from math import isnan

import pytest

from vesalius.evaluation.evaluate import evaluate

PAIRS, DIALOGUES = "contradictions.pairs", "contradictions.dialogues"


@pytest.fixture
def answers(prediction):
    """answers(case, (question, said), ...): predictions about one case."""

    def made(case, *pairs, **more):
        return [
            prediction(said, "x", name=f"{case}/{n}", question=question, case=case, **more)
            for n, (question, said) in enumerate(pairs)
        ]

    return made


def test_pairs_and_dialogues(answers, scored):
    rows = [
        # 3 comparable pairs: modality-ct (clash), modality-mri (none), ct-mri (clash: both "yes")
        *answers("a", ("what modality is shown?", "mri"), ("is this a ct scan?", "yes"),
                 ("is this an mri scan?", "yes"), ("where is the mass?", "left")),
        # 1 comparable pair, no clash
        *answers("b", ("is there a cyst?", "no"), ("how many cysts are there?", "none")),
        # no comparable pair: not measured
        *answers("c", ("is there a cyst?", "yes"), ("what plane is this?", "axial")),
    ]  # fmt: skip
    found = scored("contradictions", *rows)
    assert found[PAIRS] == 2 / 4
    assert found[DIALOGUES] == 1 / 2
    score = evaluate(rows, ["contradictions"], resamples=0).score(DIALOGUES)
    assert score.n == 2


def test_an_answer_that_cannot_be_read_contradicts_nothing_but_counts(answers, scored):
    # the pairs counted do not depend on what was answered
    rows = answers("a", ("is there a cyst?", "well"), ("is a cyst present?", "yes"))
    assert scored("contradictions", *rows) == {PAIRS: 0.0, DIALOGUES: 0.0}


def test_other_pictures_do_not_meet(answers, scored):
    question = "is there a cyst?"
    rows = [*answers("a", (question, "yes")), *answers("b", (question, "no"))]
    assert all(isnan(value) for value in scored("contradictions", *rows).values())


def test_summaries_and_other_languages_are_left_out(answers, scored):
    pairs = (("is there a cyst?", "yes"), ("is a cyst present?", "no"))
    for more in ({"category": "summary"}, {"language": "zh"}):
        found = scored("contradictions", *answers("a", *pairs, **more))
        assert all(isnan(value) for value in found.values())
    assert scored("contradictions", *answers("a", *pairs))[PAIRS] == 1.0


def test_options_of_a_question(answers, scored):
    more = {"options": ("small", "large")}
    rows = answers("a", ("what size is it?", "small"), ("what size is it?", "large"), **more)
    assert scored("contradictions", *rows)[PAIRS] == 1.0


def test_fewer_is_better(answers):
    found = evaluate(answers("a", ("is there a cyst?", "yes")), ["contradictions"], resamples=0)
    assert {found.better(score) for score in found.overall()} == {"lower"}
