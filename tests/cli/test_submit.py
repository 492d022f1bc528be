"""``vesalius submit``: from a run to both tasks' files, and files checked, in one line each."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius import Recipe, Run
from vesalius.cli.main import app
from vesalius.data.open import open_dataset
from vesalius.data.synthetic.draw import draw
from vesalius.errors import VesaliusError
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict

CASES = {"train": 4, "validation": 2, "test": 5}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "image_clef"
    draw("image_clef", folder, cases=CASES, seed=3)
    return folder


@pytest.fixture(scope="module")
def captioner(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the challenge's captions, whose own limit cuts the test split."""
    recipe = Recipe.model_validate(
        {
            "name": "captioner",
            "data": {
                "dataset": "image_clef",
                "root": str(root),
                "task": "caption",
                "leaks": "allow",
            },
            "model": {"name": "majority"},
        }
    )
    run = fit(recipe, tmp_path_factory.mktemp("run") / "captioner")
    predict(run)
    return run.path


@pytest.fixture
def concepts(root: Path, tmp_path: Path) -> Path:
    """Predictions of anyone's: the references' own concepts, in another order."""
    rows = [
        {"id": case.id, "answer": {"concepts": list(case.concepts or ())}}
        for case in open_dataset("image_clef", root).cases("test")
    ]
    random.Random(1).shuffle(rows)
    path = tmp_path / "concepts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ran(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["submit", *map(str, words)])
    if code:
        assert isinstance(result.exception, VesaliusError)
        return str(result.exception)
    assert result.exit_code == 0, result.exception
    return result.output


def test_a_run_and_a_file_become_both_tasks_files(root, captioner, concepts, tmp_path):
    out = tmp_path / "out"
    said = ran(captioner, concepts, "--out", out)
    assert sorted(path.name for path in out.iterdir()) == [
        "captions.csv", "captions.zip", "concepts.csv", "concepts.zip",
    ]  # fmt: skip
    assert "captions of " in said
    assert "rows stood at another place and were put in order" in said
    assert "not looked up" not in said  # cui_mapping.csv lies in the set's folder
    wanted = [case.id for case in open_dataset("image_clef", root).cases("test")]
    for task in ("captions", "concepts"):
        lines = (out / f"{task}.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in lines] == ["ID", *wanted]
    truth = (root / "test_concepts.csv").read_text()
    assert (out / "concepts.csv").read_text() == truth
    again = ran(*sorted(out.iterdir()), "--check", "--data", "image_clef", "--root", root)
    assert again.count("5 images, form of 2026") == 4


def test_an_older_year_has_no_archive(captioner, tmp_path):
    ran(captioner, "--out", tmp_path / "out", "--year", 2024)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["captions.csv"]


def test_a_checked_file_in_another_order_is_written_beside_it(root, captioner, tmp_path):
    ran(captioner, "--out", tmp_path)
    path = tmp_path / "captions.csv"
    right = path.read_text()
    head, *lines = right.splitlines(keepends=True)
    path.write_text("".join([head, *reversed(lines)]))
    said = ran(path, "--check", "--data", "image_clef", "--root", root)
    assert "4 rows stood at another place and were put in order; wrote " in said
    assert (tmp_path / "captions.ordered.csv").read_text() == right
    assert path.read_text() == "".join([head, *reversed(lines)])
    twice = (path, path, "--check", "--data", "image_clef", "--root", root, "--out", tmp_path / "x")
    assert "another file is written as" in ran(*twice, code=2)


def test_nothing_is_written_where_one_task_is_wrong(captioner, concepts, tmp_path):
    rows = concepts.read_text().splitlines(keepends=True)
    concepts.write_text("".join(rows[1:]))
    message = ran(captioner, concepts, "--out", tmp_path / "out", code=2)
    assert "1 of 5 images are missing" in message
    assert not (tmp_path / "out").exists()


def test_an_unknown_concept_is_refused_by_the_sets_own_mapping(captioner, root, tmp_path):
    path = tmp_path / "concepts.csv"
    truth = (root / "test_concepts.csv").read_text().splitlines(keepends=True)
    place = truth[1].index(",") + 1
    wrong = f"{truth[1][:place]}C9999999;{truth[1][place:]}"
    path.write_text("".join([truth[0], wrong, *truth[2:]]))
    data = ("--data", "image_clef", "--root", root)
    message = ran(path, "--check", *data, code=2)
    assert "line 2: concept 1 is not in the data set's mapping" in message
    ids = tmp_path / "ids.txt"
    ids.write_text("".join(line.split(",")[0] + "\n" for line in truth[1:]))
    said = ran(path, "--check", "--ids", ids)
    assert "CUIs are not looked up" in said
    message = ran(path, "--check", "--ids", ids, "--mapping", root / "cui_mapping.csv", code=2)
    assert "not in the data set's mapping" in message


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x.jsonl"], "which images the split has is not known"),
        (["x.jsonl", "--root", "."], "--root and --set belong to a data set"),
        (["x.jsonl", "--year", "2019"], "no year called '2019'"),
        (["x.jsonl", "--task", "caption"], "no task called 'caption'"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(words, said):
    assert said in ran(*words, code=2)


def test_two_sources_of_one_task_and_a_task_that_is_not_there(captioner, tmp_path):
    out = tmp_path / "out"
    assert "it has captions, as " in ran(captioner, captioner, "--out", out, code=2)
    said = ran(captioner, "--out", out, "--task", "concepts", code=2)
    assert "none of the predictions are concepts" in said
    assert "has no predictions called 'blank'" in ran(captioner, "--name", "blank", code=2)


def test_a_run_of_part_of_the_split_is_refused_whatever_its_limit(captioner, tmp_path):
    run = Run.open(captioner)
    part = tmp_path / "part"
    part.mkdir()
    for path in captioner.glob("*.*"):
        (part / path.name).write_bytes(path.read_bytes())
    text = (part / "recipe.yaml").read_text()
    (part / "recipe.yaml").write_text(re.sub(r"limit: \{\}", "limit: {test: 3}", text))
    assert Run.open(part).recipe().data.limit == {"test": 3}
    rows = run.predictions_file().read_text().splitlines(keepends=True)
    (part / "predictions.jsonl").write_text("".join(rows[:3]))
    assert "2 of 5 images are missing" in ran(part, "--out", tmp_path / "out", code=2)


def test_a_file_without_a_header_needs_the_task(captioner, root, tmp_path):
    ran(captioner, "--out", tmp_path, "--year", 2023)
    path = tmp_path / "captions.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    words = (path, "--check", "--data", "image_clef", "--root", root, "--year", 2023)
    assert "does not say which task" in ran(*words, code=2)
    assert "(it is ID|Caption or ID|CUIs in 2023; or give --task)" in ran(*words, code=2)
    assert "5 images, form of 2023" in ran(*words, "--task", "captions")
    path.write_text("ID|Caption\n", encoding="utf-8-sig")
    assert "line 1: a byte order mark" in ran(*words, code=2)


def test_no_torch_is_loaded_and_a_fault_is_exit_2(root, tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("ID,Caption\nsomebody,x\n")
    code = (
        "import sys\nfrom vesalius.cli.main import main\n"
        f"sys.argv = ['vesalius', 'submit', '--check', {str(path)!r}, '--data', 'image_clef', "
        f"'--root', {str(root)!r}]\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout.strip() == "False"
    assert done.stderr.count("\n") == 1
    assert "line 2: its id is none of the split's images" in done.stderr
    assert "somebody" not in done.stderr
