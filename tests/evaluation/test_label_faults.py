"""Labels that detectors contradict, ranked; every suspicion with its arithmetic."""

from __future__ import annotations

import pytest
from PIL import Image
from typer.testing import CliRunner

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction
from vesalius.cli.main import app
from vesalius.data.open import open_dataset
from vesalius.errors import RunError
from vesalius.evaluation.label_faults import label_faults, unseen_predictions
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.system.files import append_lines

SIDE = 100
SEEN = Box(10, 10, 20, 20, "tumor")


def scored(box, score, **changes):
    fields = {name: getattr(box, name) for name in ("x", "y", "width", "height", "label")}
    return Box(**(fields | changes), score=score)


def picture(name, truth, predicted):
    references = (Answer(boxes=tuple(truth)),)
    return Prediction(name, Answer(boxes=tuple(predicted)), references=references, case=name)


def ranked(*pictures, least=0.0):
    faults = label_faults(pictures, least=least)
    return [(f.kind, f.prediction.id, round(f.suspicion, 3)) for f in faults]


def test_the_invented_box_comes_first():
    # The published conversion gave a picture without a label the box (0.5, 0.5, 0.2, 0.3):
    # centre and size as fractions, so left .4, top .35 of 100 pixels. No detector sees it there.
    invented = Box(0.4 * SIDE, 0.35 * SIDE, 0.2 * SIDE, 0.3 * SIDE, "tumor")
    honest = [picture(f"p{n}", [SEEN], [scored(SEEN, 0.6 + n / 20)]) for n in range(5)]
    faint = picture("faint", [SEEN], [scored(SEEN, 0.3)])
    lied = picture("lied", [invented], [scored(SEEN, 0.05)])
    faults = label_faults([*honest, faint, lied], least=0.0)
    assert (faults[0].kind, faults[0].prediction.id) == ("spurious", "lied")
    assert (faults[0].truth, faults[0].suspicion) == (invented, 1.0)
    assert ranked(*honest, faint, lied, least=0.5) == [
        ("spurious", "lied", 1.0),
        ("spurious", "faint", 0.7),  # 1 - 0.3
    ]


def test_missing_shifted_and_swapped_boxes_are_told_apart():
    missing = picture("missing", [], [scored(SEEN, 0.9), scored(SEEN, 0.8, x=11)])
    # 20 wide, moved by 10: 10 x 20 of 20 x 20 + 20 x 20 - 10 x 20 = 200 / 600 = 1/3
    shifted = picture("shifted", [SEEN], [scored(SEEN, 0.9, x=20)])
    swapped = picture("swapped", [SEEN], [scored(SEEN, 0.8, label="cyst"), scored(SEEN, 0.1)])
    assert ranked(missing, shifted, swapped, least=0.5) == [
        ("missing", "missing", 0.9),  # the second box is of the same thing: named once
        ("swapped", "swapped", 0.7),  # 0.8 for the other class, 0.1 for its own
        ("shifted", "shifted", 0.6),  # 0.9 x (1 - 1/3)
    ]


def test_a_crowd_is_no_label_and_what_lies_on_it_is_not_missing():
    crowd = Box(0, 0, 60, 60, "tumor", crowd=True)
    assert ranked(picture("p", [crowd], [scored(SEEN, 0.9)])) == []


def test_what_is_not_annotated_or_not_answered_says_nothing():
    silent = Prediction("a", Answer(text="no"), references=(Answer(boxes=(SEEN,)),))
    free = Prediction("b", Answer(boxes=(scored(SEEN, 0.9),)))
    assert label_faults([silent, free], least=0.0) == []
    with pytest.raises(RunError, match=r"'a' appears 2 times"):
        label_faults([silent, silent])


def test_the_command_ranks_them_with_the_pictures(tmp_path):
    cases = list(open_dataset("phantom", options={"cases": {"test": 12}}).cases("test"))
    rows = [
        picture(case.id, case.boxes, [scored(box, 0.9) for box in case.boxes]) for case in cases
    ]
    at = next(n for n, case in enumerate(cases) if not case.boxes)
    box = Box(40, 30, 20, 30, "lesion", score=0.8)
    rows[at] = picture(cases[at].id, [], [box])
    file, out = tmp_path / "predictions.jsonl", tmp_path / "labels.png"
    append_lines(file, [one.to_row() for one in rows])
    options = ["--set", "cases={test: 12}", "--labels", str(file), "--out", str(out)]
    done = CliRunner().invoke(app, ["data", "audit", "phantom", *options])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:2] == [
        f"missing 0.80 {cases[at].id}: lesion [40, 30, 20, 30]",
        "1 missing, of 12 pictures",
    ]
    with Image.open(out) as sheet:
        assert sheet.width > 256


def test_the_page_says_which_box_of_a_picture_is_suspect(tmp_path):
    cases = list(open_dataset("phantom", options={"cases": {"test": 12}}).cases("test"))
    one = next(case for case in cases if len(case.boxes) > 1)
    rows = [picture(one.id, one.boxes, [scored(box, 0.9) for box in one.boxes[1:]])]
    rows += [picture(case.id, case.boxes, []) for case in cases if case is not one]
    rows[1:] = [row for row in rows[1:] if not row.references[0].boxes]
    file, out = tmp_path / "predictions.jsonl", tmp_path / "labels.html"
    append_lines(file, [row.to_row() for row in rows])
    options = ["--set", "cases={test: 12}", "--labels", str(file), "--out", str(out)]
    done = CliRunner().invoke(app, ["data", "audit", "phantom", *options])
    assert done.exit_code == 0, done.output
    page, suspect = out.read_text(), one.boxes[0]
    assert f"spurious? {suspect.label}" in page
    assert f"spurious, suspicion 1.00: {suspect.label} [{suspect.x:g}, {suspect.y:g}" in page


def test_predictions_of_the_training_split_are_no_second_opinion(tmp_path):
    recipe = Recipe.model_validate(
        {
            "name": "x",
            "model": {"name": "majority"},
            "data": {"dataset": "phantom", "task": "detect"},
        }
    )
    run = Run.create(tmp_path / "run", recipe)
    run.append([picture("a", [SEEN], [scored(SEEN, 0.9)])])
    run.note_predictions("", split="train")
    with pytest.raises(RunError, match=r"was fitted on 'train', which it predicted"):
        unseen_predictions(run.path)
    run.note_predictions("", split="test")
    assert [one.id for one in unseen_predictions(run.path)] == ["a"]
