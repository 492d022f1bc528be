"""The comparison page: systems, baselines and boards, on pictures that are drawn."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction, Usage
from vesalius.cli.main import app
from vesalius.errors import RunError
from vesalius.recipe import Data, Recipe
from vesalius.run import Run
from vesalius.steps.box_baselines import TrainingBoxes, box_baselines
from vesalius.steps.comparison_page import comparison_page
from vesalius.steps.prepare import dialogues
from vesalius.system.files import append_lines

DATA = {"dataset": "phantom", "task": "detect", "limit": {"train": 30, "test": 24}}


def a_run(folder: Path, seed: int, spread: float) -> Run:
    recipe = {
        "name": folder.name,
        "data": DATA,
        "model": {"name": "consensus"},
        "evaluation": {"metrics": ["detection"], "resamples": 50},
    }
    run = Run.create(folder, Recipe.model_validate(recipe))
    rng = np.random.default_rng(seed)
    rows = []
    for one in dialogues(run.recipe().data, "test"):
        boxes = one.question.answers[0].boxes or ()
        near = [
            Box(
                *np.maximum(0, rng.normal((b.x, b.y), spread)).round(2).tolist(),
                b.width,
                b.height,
                b.label,
                score=round(float(rng.beta(4, 2)), 3),
            )
            for b in boxes
        ]
        far = [Box(70, 70, 15, 15, "lesion", score=round(float(rng.beta(2, 4)), 3))]
        answer = Answer(boxes=(*near, *far))
        rows.append(Prediction.of(one, answer, usage=Usage(seconds=0.25), operating_point=0.4))
    run.append(rows)
    run.finish(parameters=123_456, memory_peak_mb=512)
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("runs")
    return [a_run(folder / n, i, s) for i, (n, s) in enumerate((("near", 1), ("off", 6)))]


def test_a_page_has_systems_baselines_costs_and_boards(runs: list[Run], tmp_path: Path) -> None:
    out = comparison_page(*[run.path for run in runs], out=tmp_path / "page.html", resamples=20)
    page = out.read_text()
    heads = re.findall(r"<h2>(.*?)</h2>", page)
    assert heads == [
        "Presence", "Localisation", "Calibration", "Costs", "Where they disagree", "Limits",
    ]  # fmt: skip
    assert "<h1>5 systems, 24 cases</h1>" in page
    for name in ("near (baseline)", "off", "mean box", "always", "never"):
        assert f"<th>{name}</th>" in page
    row = re.search(r"<tr><th>detection\.specificity</th>(.*?)</tr>", page, re.DOTALL)
    assert row is not None
    values = re.findall(r"<b>([\d.]+)</b>", row[1])
    assert values[3:] == ["0.000", "1.000"]  # always, never
    assert "<td>0.25</td>" in page
    assert "<td>123,456</td>" in page
    assert "<td>512 MB</td>" in page
    assert page.count("<article>") == 12
    assert 'class="s0"' in page
    assert 'class="s1"' in page
    assert 'class="reference"' in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_quadrants_need_the_pictures(runs: list[Run], tmp_path: Path) -> None:
    paths = [run.path for run in runs]
    page = comparison_page(*paths, out=tmp_path / "page.html", resamples=0, pictures=False)
    assert "not measured: the sizes of the pictures are not known" in page.read_text()
    assert "data:image" not in page.read_text()


def test_files_of_predictions_are_systems_too(runs: list[Run], tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.jsonl"
    append_lines(theirs, (p.to_row() for p in runs[0].predictions()))
    options = ["--resamples", "0", "--page", str(tmp_path / "page.html"), "--no-pictures"]
    three = [str(theirs), *(str(run.path) for run in runs)]
    result = CliRunner().invoke(app, ["compare", *three, *options])
    assert result.exit_code == 0, result.output
    assert "4 systems, 24 cases" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--page", "page.pdf"], "a page is a file that ends in .html"),
        (["--page", "page.html", "--baseline", "off"], "belong to --table"),
        (["--page", "page.html", "--save", "x.json"], "--save keeps a comparison of two runs"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_read(options, words) -> None:
    nowhere = ["nowhere-a", "nowhere-b", "nowhere-c"]
    result = CliRunner().invoke(app, ["compare", *nowhere, *options])
    assert result.exit_code != 0
    assert words in (result.output + str(result.exception))


def test_two_runs_give_todays_output_beside_the_page(runs: list[Run], tmp_path: Path) -> None:
    two = [str(run.path) for run in runs]
    plain = CliRunner().invoke(app, ["compare", *two, "--resamples", "0"])
    options = ["--resamples", "0", "--page", str(tmp_path / "p.html"), "--no-pictures"]
    paged = CliRunner().invoke(app, ["compare", *two, *options])
    assert plain.exit_code == paged.exit_code == 0
    assert paged.output.endswith(plain.output)


def test_the_mean_box_is_of_training_and_scales_with_the_picture() -> None:
    found = TrainingBoxes.of(Data.model_validate(DATA))
    assert found is not None
    own = [
        box
        for one in dialogues(Data.model_validate(DATA), "train")
        for box in one.question.answers[0].boxes or ()
        if box.label == found.label
    ]
    # drawn pictures are 96 x 96
    assert found.mean[0] == pytest.approx(np.mean([b.x for b in own]) / 96)
    assert found.box((200, 100)).width == pytest.approx(200 * found.mean[2])


def test_a_baseline_says_nothing_of_what_another_model_said(runs: list[Run]) -> None:
    rows = list(runs[0].predictions())
    training = TrainingBoxes("lesion", (0.1, 0.1, 0.2, 0.2))
    sizes = {str(p.picture): (96, 96) for p in rows}
    mean, always, never = box_baselines(rows, sizes, training)
    assert [s.name for s in (mean, always, never)] == ["mean box", "always", "never"]
    assert {len(s.predictions) for s in (mean, always, never)} == {24}
    assert always.predictions[0].answer.boxes == (Box(0, 0, 96, 96, "lesion", score=1.0),)
    one = never.predictions[0]
    assert (one.usage, one.operating_point, one.references) == (None, None, rows[0].references)
    sizes.popitem()
    assert [s.name for s in box_baselines(rows, sizes, training)] == ["never"]
    words = [replace(p, references=(Answer("no"),)) for p in rows]
    assert box_baselines(words, sizes, training) == []


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"ends in \.html"):
        comparison_page("nowhere", "nowhere-else", out=tmp_path / "page.txt")
