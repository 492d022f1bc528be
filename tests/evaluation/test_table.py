"""Systems side by side: the same cases for all, tests against one, nothing left out in silence."""

import csv
import io
import json
from dataclasses import replace

import pytest

from vesalius.cases.case import Answer
from vesalius.cases.prediction import MemberAnswer
from vesalius.errors import NotComparable, UnknownName
from vesalius.evaluation.compare import compare
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.member_answers import member_predictions, rivals
from vesalius.evaluation.table import System, table
from vesalius.evaluation.table_files import write_table

DRAWS = Draws(resamples=200)
METRICS = ["closed", "rouge", "bleurt"]


@pytest.fixture
def systems(prediction):
    """Of 16 questions in 16 groups the systems answer 4, 8 and 12 rightly."""

    def rows(right):
        return [
            prediction("yes" if i < right else "no", "yes", name=f"q{i}", group=f"g{i}")
            for i in range(16)
        ]

    return [System(name, rows(n)) for name, n in (("a", 4), ("b", 8), ("c|d", 12))]


def test_scores_and_differences_are_those_of_evaluate_and_compare(systems):
    found = table(systems, METRICS, draws=DRAWS)
    first, second, third = found.rows
    alone = evaluate(systems[1].predictions, METRICS, resamples=200)
    pair = compare(systems[0].predictions, systems[2].predictions, METRICS, resamples=200)
    name = "closed.accuracy"
    assert [row.score(name).value for row in found.rows] == [0.25, 0.5, 0.75]
    assert second.score(name) == alone.score(name)
    gap = next(d for d in pair.overall() if d.metric == name)
    assert replace(third.difference(name), p_holm=gap.p_holm) == gap
    assert first.against == ()
    assert (found.baseline, found.shared, found.groups) == ("a", 16, 16)


def test_p_is_adjusted_over_the_rows_of_a_column(systems):
    found = table(systems, METRICS, draws=DRAWS)
    b, c = (row.difference("closed.accuracy") for row in found.rows[1:])
    # Holm of two: the smaller p counts twice, the larger once, but no less than the other
    assert c.p < b.p
    assert c.p_holm == pytest.approx(2 * c.p)
    assert b.p_holm == pytest.approx(max(b.p, 2 * c.p))


def test_another_row_may_be_the_baseline(systems):
    found = table(systems, METRICS, baseline="b", draws=DRAWS)
    assert [bool(row.against) for row in found.rows] == [True, False, True]
    assert found.rows[0].difference("closed.accuracy").difference == -0.25


def test_a_column_a_metric_the_one_it_names_as_foremost(systems):
    found = table(systems, METRICS, draws=DRAWS)
    assert found.columns == ("closed.accuracy", "rouge.L", "bleurt")


def test_only_common_cases_count_and_the_others_are_told(systems):
    short = replace(systems[1], predictions=systems[1].predictions[3:])
    found = table([systems[0], short], METRICS, draws=DRAWS)
    assert found.shared == 13
    assert (found.rows[0].apart, found.rows[0].first_apart) == (3, "q0")
    assert found.rows[0].score("closed.accuracy").value == pytest.approx(1 / 13)
    assert any("a: 3 predictions, the first 'q0', are not shared" in n for n in found.notes())


def test_what_is_not_measured_says_why(systems, tmp_path):
    found = table(systems, METRICS, draws=DRAWS)
    assert not found.rows[0].score("bleurt").measured
    assert any("bleurt not measured: no weights are named" in note for note in found.notes())
    text = write_table(found, tmp_path / "t.md").read_text()
    assert text.count("not measured") == 3 + 2 + 1  # scores, differences, the reason


def test_a_column_that_rests_on_a_part_of_the_cases_says_so(systems, prediction):
    rows = [*systems[0].predictions, prediction("no mass", "a mass", name="q99", group="z")]
    found = table([System("a", rows), System("b", rows)], ["content"], draws=DRAWS)
    assert "content.negation is measured on a part of the cases: 1 of every row" in found.notes()


@pytest.mark.parametrize(
    ("names", "error", "words"),
    [
        (["a"], NotComparable, "two runs or more"),
        (["a", "a"], NotComparable, "each once"),
    ],
)
def test_rows_that_make_no_table(systems, names, error, words):
    rows = [replace(systems[0], name=name) for name in names]
    with pytest.raises(error, match=words):
        table(rows, METRICS, draws=DRAWS)


def test_refusals(systems, prediction):
    with pytest.raises(UnknownName, match="row"):
        table(systems, METRICS, baseline="z", draws=DRAWS)
    with pytest.raises(NotComparable, match="both give rouge"):
        table(systems, ["rouge", {"rouge": {"stemmed": False}}], draws=DRAWS)
    other = System("z", [prediction("yes", "no", name="q1")])
    with pytest.raises(NotComparable, match="other references"):
        table([*systems, other], METRICS, draws=DRAWS)
    with pytest.raises(NotComparable, match="no id is shared by the 2 runs"):
        table([systems[0], System("z", [prediction("a", "b", name="x")])], METRICS, draws=DRAWS)


def test_the_kind_that_one_row_states_holds_for_all(systems, prediction):
    stated = [replace(p, kind="closed", options=("yes", "no")) for p in systems[0].predictions]
    found = table([System("s", stated), *systems[1:]], ["closed"], draws=DRAWS)
    assert {row.score("closed.accuracy").n for row in found.rows} == {16}


def test_csv_has_a_line_for_every_score_and_json_all_of_it(systems, tmp_path):
    found = table(systems, METRICS, draws=DRAWS)
    rows = list(csv.DictReader(io.StringIO(write_table(found, tmp_path / "t.csv").read_text())))
    constants = sum(len(one.values) for one in found.constants)
    assert len(rows) == sum(len(row.scores) for row in found.rows) + constants
    line = next(r for r in rows if (r["system"], r["score"]) == ("b", "closed.accuracy"))
    assert (line["value"], line["difference"], line["n"]) == ("0.5", "0.25", "16")
    absent = next(r for r in rows if r["score"] == "bleurt")
    assert (absent["value"], absent["not_measured"][:10]) == ("", "no weights")
    data = json.loads(write_table(found, tmp_path / "t.json").read_text())
    assert data["rows"][1]["against"][0]["difference"] == 0.25
    assert data["draws"] == {"resamples": 200, "level": 0.95, "seed": 0, "interval": "percentile"}
    assert "c\\|d" in write_table(found, tmp_path / "t.md").read_text()


def test_another_ending_is_refused(systems, tmp_path):
    with pytest.raises(UnknownName, match="form of a table"):
        write_table(table(systems, METRICS, draws=DRAWS), tmp_path / "t.xlsx")


def test_members_are_read_from_the_combinations_rows(prediction):
    row = prediction(
        "ct", "ct", evidence=(MemberAnswer("near", Answer("mri")), MemberAnswer("far", Answer("")))
    )
    members = member_predictions([row])
    assert {name: rows[0].text for name, rows in members.items()} == {"near": "mri", "far": ""}
    assert members["near"][0].references == row.references
    assert members["near"][0].evidence == ()
    assert member_predictions([prediction("ct", "ct")]) == {}


def test_a_member_that_answers_with_something_else_is_no_rival(prediction):
    tagger = MemberAnswer("tagger", Answer(concepts=("C0040405",)))
    silent = MemberAnswer("silent", Answer(concepts=()), abstained=True)
    row = prediction("ct", "ct", evidence=(MemberAnswer("near", Answer("mri")), tagger, silent))
    members, others = rivals([row])
    assert (list(members), others) == (["near", "silent"], ["tagger"])
    joined = replace(row, answer=Answer(concepts=("C0040405",)))
    assert rivals([joined])[1] == ["near"]


def test_members_that_disagree_on_ids_are_refused(prediction):
    near = MemberAnswer("near", Answer("ct"))
    rows = [
        prediction("ct", "ct", name="q0", evidence=(near, MemberAnswer("far", Answer("ct")))),
        prediction("ct", "ct", name="q1", evidence=(near,)),
    ]
    with pytest.raises(NotComparable, match=r"id 'q1': 1 of 2 rows have no answer of .* far"):
        member_predictions(rows)
