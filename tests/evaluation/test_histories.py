"""Scores under three histories and their gaps, counted by hand."""

from __future__ import annotations

import json

import pytest

from vesalius.data.visual_dialogue import upgrade
from vesalius.errors import NotComparable, RunError
from vesalius.evaluation import histories as module
from vesalius.evaluation.histories import histories, histories_of
from vesalius.evaluation.metrics.dialogue import is_turn
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.steps import request

TURNS = (("what modality is this?", "ct"), ("is this a ct scan?", "yes"))
SUMMARY = ("Describe the image.", "CT. It shows a mass.")


@pytest.fixture
def answered(prediction):
    """answered(first turns right, second turns right): five dialogues, a summary each."""

    def made(first, second, summary="CT."):
        rows = []
        for case in range(5):
            said = ("ct" if case < first else "mri", "yes" if case < second else "no", summary)
            for n, ((question, gold), text) in enumerate(zip((*TURNS, SUMMARY), said, strict=True)):
                category = ("modality", "modality", "summary")[n]
                rows.append(
                    prediction(text, gold, name=f"{case}/{n}", question=question, case=str(case),
                               group=f"g{case}", category=category)
                )  # fmt: skip
        return rows

    return made


@pytest.fixture
def sets(answered):
    return {"none": answered(3, 2), "own": answered(3, 4), "gold": answered(5, 5, SUMMARY[1])}


def test_gaps_are_to_the_gold_history(sets):
    found = histories(sets, ["squad"], resamples=50)
    em = {name: found.turns.scores[name].score("squad.em") for name in sets}
    # 3 + 2, 3 + 4 and 5 + 5 of ten turns; summaries are not among them
    assert {name: (score.value, score.n) for name, score in em.items()} == {
        "none": (0.5, 10), "own": (0.7, 10), "gold": (1.0, 10),
    }  # fmt: skip
    gaps = {name: gap.differences[0] for name, gap in found.turns.gaps.items()}
    assert gaps["own"].difference == pytest.approx(-0.3)
    assert gaps["none"].difference == pytest.approx(-0.5)
    assert gaps["own"].low <= -0.3 <= gaps["own"].high
    assert gaps["own"].groups == 5
    # "ct" is the reference of five turns of ten, "yes" of the other five
    frequent, normal = found.turns.constants
    assert (frequent.answer, frequent.value("squad.em")) == ("ct", 0.5)
    assert normal.value("squad.em") == 0.0


def test_dialogues_and_contradictions_come_along(sets):
    found = histories(sets, ["squad"], resamples=0)
    own = found.turns.scores["own"]
    # all right: the first three dialogues
    assert own.score("dialogue.all_right").value == pytest.approx(3 / 5)
    # dialogue 3 says mri, then that it is a ct; dialogue 4 says mri and no ct: no contradiction
    assert own.score("contradictions.pairs").value == pytest.approx(1 / 5)
    # none: cases 0-1 ct, yes; case 2 ct, no: one clash; cases 3-4 mri, no
    assert found.turns.scores["none"].score("contradictions.dialogues").value == 1 / 5
    assert {s.slice for s in own.scores if s.protocol == "contradictions"} == {"all"}


def test_summaries_have_caption_scores(sets):
    found = histories(sets, ["squad"], resamples=0)
    assert found.summary is not None
    assert found.summary.scores["gold"].score("rouge.L").value == 1.0
    # "CT." against "CT. It shows a mass.": 1 of 5 tokens, precision 1, recall 1/5, F 1/3
    assert found.summary.scores["own"].score("rouge.L").value == pytest.approx(1 / 3)
    assert found.summary.gaps["own"].shared == 5
    for part in (found.turns, found.summary):
        assert all(e.protocols[s.protocol] for e in part.scores.values() for s in e.scores)


def test_without_summaries_there_is_none(sets):
    turns = {n: [p for p in rows if p.category != "summary"] for n, rows in sets.items()}
    found = histories(turns, ["squad"], resamples=0)
    assert found.summary is None
    assert "summary" not in found.to_json()


def test_other_turns_are_not_compared(sets):
    with pytest.raises(NotComparable, match="1 turns"):
        histories(sets | {"own": sets["own"][1:]}, ["squad"], resamples=0)
    with pytest.raises(NotComparable, match="no answers under the history none"):
        histories({name: sets[name] for name in ("own", "gold")}, ["squad"], resamples=0)


def test_a_run_needs_all_three(tmp_path, sets):
    recipe = {"name": "r", "data": {"dataset": "phantom"}, "model": {"name": "majority"},
              "evaluation": {"metrics": ["closed"], "resamples": 5}}  # fmt: skip
    run = Run.create(tmp_path / "r", Recipe.model_validate(recipe))
    for name in ("none", "own"):
        run.append(sets[name], f"history-{name}")
    with pytest.raises(RunError, match=r"predict --run .* --history gold"):
        histories_of(run)
    run.append(sets["gold"], "history-gold")
    found = histories_of(run)
    assert found.turns.scores["own"].resamples == 5
    assert json.loads(json.dumps(found.to_json()))["turns"]["gaps"].keys() == {
        "own minus gold", "none minus gold",
    }  # fmt: skip
    only = histories_of(run, metrics=["squad", "dialogue"], resamples=0)
    assert set(only.turns.scores["own"].protocols) == {"squad", "dialogue", "contradictions"}


def test_the_summary_turn_is_known_by_the_same_word_on_both_sides(prediction):
    # evaluation knows no data and no step: only this test sees all three
    assert not is_turn(prediction("x", category=upgrade.SUMMARY))
    assert module.HISTORIES == request.HISTORIES
