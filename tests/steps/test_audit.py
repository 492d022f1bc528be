"""The whole audit of phantoms with planted faults: what it finds, how it is told, where it goes."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from planted_faults import planted
from vesalius.cli.main import app
from vesalius.data.audit import Key
from vesalius.data.open import open_dataset
from vesalius.data.survey.survey import survey
from vesalius.errors import DatasetError, Leakage, RecipeError, VesaliusError
from vesalius.steps.answer_check import answer_check, suspect_answers, trial
from vesalius.steps.answer_sight import coarse_sight, encoded_sight
from vesalius.steps.audit import audit
from vesalius.steps.audit_page import write_page

RUNNER = CliRunner()


def call(*words):
    return RUNNER.invoke(app, ["data", "audit", *map(str, words)])


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    root = tmp_path_factory.mktemp("faulty")
    return root, planted(root)


@pytest.fixture(scope="module")
def judged(faulty):
    dataset = open_dataset("folder", faulty[0])
    return dataset, audit(dataset, "faulty", text_sample=0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_each_planted_fault_is_found(judged):
    found = {one.name: one for one in judged[1].verdict.results}
    states = {name: one.state for name, one in found.items()}
    assert states["patients"] == states["copies_across"] == states["contradictions"] == "fault"
    assert states["constant_questions"] == "fault"
    assert states["readable"] == "doubtful"
    across = {pair.cases[-1].id for pair in found["copies_across"].pairs}
    assert across == {"images/copy", "mirrored"}
    assert found["contradictions"].facts["contradicting"] == 1
    assert found["readable"].facts["unread_cases"] == 1
    assert states["burned_in"] == states["captions"] == "not measured"
    assert judged[1].verdict.state == "fault"


def test_a_set_without_faults_is_not_accused(tmp_path):
    planted(tmp_path, faults=False, flips=0)
    verdict = audit(open_dataset("folder", tmp_path), "sound", text_sample=0).verdict
    states = {one.name: one.state for one in verdict.results}
    for name in ("patients", "copies_across", "contradictions", "readable", "answers"):
        assert states[name] == "sound", name


def test_planted_wrong_answers_are_found_and_right_ones_left_alone(tmp_path):
    truth = planted(tmp_path, cases=240, faults=False, flips=0.08)
    whole = survey(open_dataset("folder", tmp_path))
    doubts = suspect_answers(whole.rows, coarse_sight(whole.thumbnails))
    named = {suspect.row.key.id.removeprefix("images/") for suspect in doubts.suspects}
    wrong = truth["flipped"]
    assert len(wrong) >= 15
    assert len(doubts.judged) >= 0.8 * sum(row.type == "organ" for row in whole.rows)
    assert len(named & wrong) / len(named) >= 0.9  # precision
    assert len(named & wrong) / len(wrong) >= 0.8  # recall


@pytest.mark.slow
def test_an_encoder_finds_planted_wrong_answers_too(tmp_path):
    truth = planted(tmp_path, cases=240, faults=False, flips=0.08)
    dataset = open_dataset("folder", tmp_path)
    whole = survey(dataset)
    doubts = suspect_answers(whole.rows, encoded_sight(dataset, whole.rows, "efficientnet_lite0"))
    named = {suspect.row.key.id.removeprefix("images/") for suspect in doubts.suspects}
    wrong = truth["flipped"]
    assert len(doubts.judged) >= 0.8 * sum(row.type == "organ" for row in whole.rows)
    assert len(named & wrong) / len(named) >= 0.9  # precision
    assert len(named & wrong) / len(wrong) >= 0.6  # recall


def test_a_trial_tells_how_much_is_found_on_these_very_data(tmp_path):
    planted(tmp_path, cases=240, faults=False, flips=0)
    whole = survey(open_dataset("folder", tmp_path))
    sight = coarse_sight(whole.thumbnails)
    doubts = suspect_answers(whole.rows, sight)
    found, changed = trial(whole.rows, doubts, sight)
    # One in twenty of the answers that can be judged; of clear drawings most are found again.
    assert changed == round(0.05 * len(doubts.judged))
    assert 0.7 * changed <= found <= changed
    assert trial(whole.rows, doubts, sight) == (found, changed)
    told = answer_check(whole, sight)
    assert f"Of {changed} answers that were changed for a trial they find {found}." in told.words
    blind = replace(sight, numbers=lambda rows: np.zeros((len(rows), 1)))
    assert answer_check(whole, blind).state == "not measured"  # words tell no organ


def test_an_encoder_that_is_not_there_is_refused_before_anything_is_read(tmp_path):
    planted(tmp_path, cases=30)
    page = tmp_path / "page.html"
    done = call("folder", "--root", tmp_path, "--html", page, "--encoder", tmp_path / "none")
    assert isinstance(done.exception, VesaliusError)
    assert not page.exists()
    alone = call("folder", "--root", tmp_path, "--encoder", "efficientnet_lite0")
    assert "--encoder is of the whole audit" in str(alone.exception)


def test_what_leaks_through_the_question_is_measured_with_its_interval(tmp_path):
    rows = [
        {"caption_id": n, "question": f"Is the {'mass' if n % 2 else 'cyst'} seen?",
         "answer": "yes" if n % 2 else "no", "category": "presence", "image": f"{n}.png",
         "split": "train" if n < 80 else "test"}
        for n in range(120)
    ]  # fmt: skip
    drawn = open_dataset("phantom", options={"cases": {"train": 120}, "size": 32})
    for row, case in zip(rows, drawn.cases("train"), strict=True):
        case.pictures[0].pixels().save(tmp_path / row["image"])
    table = tmp_path / "t.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    verdict = audit(open_dataset("folder", table), "leaky", text_sample=0).verdict
    found = {one.name: one for one in verdict.results}["question_only"]
    # The word tells the answer: 1.0 against one half.
    assert found.facts["accuracy"] == 1.0
    assert found.facts["commonest"] == 0.5
    assert 0.2 < found.facts["low"] < 0.5 < found.facts["high"] < 0.8
    assert found.state == "fault"


def test_one_split_is_cross_fitted_by_group(tmp_path):
    planted(tmp_path, cases=90, faults=False)
    (tmp_path / "test.jsonl").unlink()
    verdict = audit(open_dataset("folder", tmp_path), "one", text_sample=0).verdict
    found = {one.name: one for one in verdict.results}
    assert "cross-fitted (5 folds)" in found["question_only"].words
    assert found["copies_across"].words == "the set has one split"
    assert found["patients"].state == "not measured"


def test_a_set_without_a_case_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="holds no case to audit"):
        audit(open_dataset("phantom", options={"cases": {"train": 0}}), "empty")


def test_the_page_shows_pairs_and_needs_no_other_file(judged, tmp_path):
    dataset, (verdict, _) = judged
    write_page(verdict, dataset, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.index("Verdict") < page.index("Pictures across splits")
    assert page.count("data:image/") >= 6
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "<script" not in page
    for one in verdict.results:
        assert f'id="{one.name}"' in page
    write_page(verdict, dataset, tmp_path / "bare.html", pictures=False)
    assert "data:image/" not in (tmp_path / "bare.html").read_text()


def test_words_of_the_data_are_escaped(tmp_path):
    planted(tmp_path / "set", cases=40, faults=False)
    rows = (tmp_path / "set" / "train.jsonl").read_text().replace("contrast agent", "<b>agent</b>")
    (tmp_path / "set" / "train.jsonl").write_text(rows)
    dataset = open_dataset("folder", tmp_path / "set")
    verdict, _ = audit(dataset, "<i>", text_sample=0)
    write_page(verdict, dataset, tmp_path / "page.html", pictures=False)
    page = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;agent" in page
    assert "<b>agent" not in page
    assert "<i>" not in page


def test_the_command_writes_both_files_and_fails_on_leaks(faulty, tmp_path, cache):
    page = tmp_path / "audit.html"
    words = ("folder", "--root", faulty[0], "--html", page, "--text-sample", 0)
    result = call(*words)
    assert isinstance(result.exception, Leakage)
    assert "fault Pictures across splits" in result.output
    verdict = json.loads(page.with_suffix(".json").read_text())
    assert verdict["state"] == "fault"
    assert verdict["checks"]["copies_across"]["facts"]["test"]["shared"] == 2
    assert len(list((cache / "audits").iterdir())) == 1
    assert call(*words, "--allow-leaks").exit_code == 0


def test_neither_words_nor_names_of_cases_are_in_the_verdict(judged):
    verdict = judged[1].verdict
    text = json.dumps(verdict.to_json())
    for secret in ("phantom-train-patient", "train-001", "another-patient", "contrast agent"):
        assert secret not in text


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--html", "page.pdf"), "a page ends in .html, not 'page.pdf'"),
        (("--html", "p.html", "--text-sample", "few"), "a number of pictures, or all"),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(
    faulty, tmp_path, monkeypatch, words, fault
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vesalius.steps.audit.audit", None)
    result = call("folder", "--root", faulty[0], *words)
    assert isinstance(result.exception, RecipeError)
    assert fault in str(result.exception)
    assert not list(tmp_path.glob("*.html"))


def test_text_is_looked_for_in_a_seeded_sample(faulty, monkeypatch):
    from vesalius.data.burned_in import Region

    def text_in(picture):
        return (Region(1, 1, 9, 9, 0.9),) if "train-00" in picture.key else ()

    monkeypatch.setattr("vesalius.data.burned_in.text_in", text_in)
    monkeypatch.setattr("vesalius.steps.audit.find_spec", lambda name: name)
    monkeypatch.setattr("vesalius.system.parallel.usable_cores", lambda: 1)
    dataset = open_dataset("folder", faulty[0])
    verdict = audit(dataset, "faulty", text_sample=None).verdict
    found = {one.name: one for one in verdict.results}["burned_in"]
    assert found.facts["searched"] == 161
    assert found.facts["with_text"] == 10
    assert found.pairs[0].cases[0] == Key("images/train-000", "train")


def test_without_a_text_reader_it_says_so(faulty, monkeypatch):
    monkeypatch.setattr("vesalius.steps.audit.find_spec", lambda name: None)
    verdict = audit(open_dataset("folder", faulty[0]), "faulty", text_sample=2).verdict
    found = {one.name: one for one in verdict.results}["burned_in"]
    assert (found.state, found.value) == ("not measured", None)
    assert "pip install" in found.words
