"""The metric self-test: what a metric sees of texts in which one thing is wrong."""

import json
from math import exp, log

import pytest
from typer.testing import CliRunner

from vesalius.cli.main import app
from vesalius.errors import UnknownName
from vesalius.evaluation.caveats import unseen
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.self_test import verdicts
from vesalius.evaluation.self_test.gallery import KINDS, gallery, modalities
from vesalius.evaluation.self_test.verdicts import (
    Seen,
    blind_to,
    recorded,
    self_test,
    sights,
)


def test_the_gallery_has_every_kind_of_every_modality():
    places = {(one.modality, one.kind) for one in gallery()}
    modalities = {one.modality for one in gallery()}
    assert len(modalities) == 7
    assert places == {(modality, kind) for modality in modalities for kind in KINDS}
    assert {bool(one.question) for one in gallery()} == {True, False}


def test_exact_match_sees_all_and_tolerates_nothing():
    words = self_test(["squad"]).verdicts()["squad"]["squad.em"]["all"]
    # 1 for the right text; whatever is changed is no exact match: 0
    assert {words[kind] for kind in KINDS if kind not in ("paraphrase", "shuffled sentences")} == {
        "sees"
    }
    assert words["paraphrase"] == words["shuffled sentences"] == "punishes"


def test_a_bag_of_words_does_not_see_an_order():
    rows = {(r.metric, r.kind): r for r in self_test(["squad"]).overall()}
    assert rows["squad.f1", "shuffled sentences"].drop == 0


def test_bleu_of_a_flipped_negation_by_hand(monkeypatch):
    one = next(e for e in gallery() if e.kind == "negation" and e.reference.startswith("The liver"))
    assert one.changed.split(". ")[1] == "There is cirrhosis"
    monkeypatch.setattr(verdicts, "gallery", lambda: (one,))
    (row,) = (r for r in self_test(["bleu"]).overall() if r.metric == "bleu")
    # 24 tokens (a full stop is one) against 25: all words are right (24/24); of 23 pairs one is not
    # there ("is cirrhosis"), of 22 triples two, of 21 quadruples three; brevity exp(1 - 25/24).
    precisions = (24 / 24, 22 / 23, 20 / 22, 18 / 21)
    expected = exp(1 - 25 / 24) * exp(sum(map(log, precisions)) / 4)
    assert row.changed == pytest.approx(expected * row.right, abs=1e-6)
    assert row.drop == pytest.approx((1 - expected) * row.right, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "changed", "word"),
    [
        ("side", 0.6, "sees"),  # (1 - 0.6) / (1 - 0.2) = 0.5
        ("side", 0.8, "partly"),  # 0.25
        ("side", 0.9, "blind"),  # 0.125
        ("paraphrase", 0.9, "tolerates"),
        ("paraphrase", 0.5, "punishes"),
    ],
)
def test_a_verdict_is_a_share_of_what_another_text_costs(kind, changed, word):
    assert Seen("m", "m", kind, "all", 1.0, changed, 0.2, 5).verdict == word


def test_where_another_text_costs_nothing_there_is_no_verdict():
    row = Seen("m", "m", "side", "all", 1.0, 0.5, 1.0, 5)
    assert row.verdict == ""
    assert row.to_json()["cost"] is None


def test_what_cannot_be_tested_is_named():
    absent = self_test(["bleurt", "detection", "vqa_soft"]).absent
    assert "no weights" in absent["bleurt"]
    assert absent["detection"]
    assert absent["vqa_soft"]
    with pytest.raises(UnknownName, match="squad"):
        self_test(["sqad"])


def test_the_recorded_verdicts_are_those_of_today():
    assert self_test().verdicts() == recorded()


def test_a_report_tells_what_its_metrics_are_blind_to(prediction):
    rows = [prediction("a mass", "a mass", name=name, group=name) for name in "ab"]
    (sentence,) = unseen(evaluate(rows, ["squad", "rouge"], resamples=0))
    assert "squad.em" not in sentence
    assert "side" in sentence
    assert "side" in blind_to("squad", "squad.f1")
    # with other settings nothing is known, and nothing claimed
    assert unseen(evaluate(rows, [{"rouge": {"stemmed": True}}], resamples=0)) == []


def test_a_table_has_a_verdict_a_kind_of_what_was_measured_by_default(prediction):
    rows = [prediction("a mass", "a mass", name=name, group=name) for name in "ab"]
    every = sights(evaluate(rows, ["squad", {"rouge": {"stemmed": True}}], resamples=0))
    table = {one.metric: one for one in every}
    assert set(table) == {"squad.em", "squad.f1"}
    assert table["squad.f1"].words[KINDS.index("side")] == "blind"
    assert all(len(one.words) == len(KINDS) for one in every)
    assert set(table["squad.f1"].blind) == set(modalities())
    assert not any(table["squad.em"].blind.values())
    own = {
        row.modality
        for row in self_test(["squad"]).rows
        if (row.metric, row.kind, row.verdict) == ("squad.f1", "side", "blind")
    }
    assert {name for name, kinds in table["squad.f1"].blind.items() if "side" in kinds} == own - {
        "all"
    }


def test_the_command(tmp_path):
    out = tmp_path / "seen.json"
    done = CliRunner().invoke(app, ["metrics", "test", "squad", "bleurt", "--json", str(out)])
    assert done.exit_code == 0, done.output
    assert "squad.f1" in done.output
    assert "bleurt not measured: no weights" in done.output
    row = json.loads(out.read_text())["rows"][0]
    assert row["drop"] == pytest.approx(row["right"] - row["changed"])
    unknown = CliRunner().invoke(app, ["metrics", "test", "sqad"])
    assert isinstance(unknown.exception, UnknownName)
