"""The command line: one line and exit code 2 for every fault, and a fast start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius.cli.panels import PANELS

RECIPE = """
name: r
data: {dataset: phantom, options: {cases: {train: 4, validation: 2, test: 2}}}
model: {name: majority}
"""


def vesalius(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vesalius.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE)
    return path


def test_fit_predict_evaluate(recipe: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    assert "next:" in vesalius("fit", str(recipe), "--run", run).stdout
    assert "answers in" in vesalius("predict", "--run", run).stdout
    scored = vesalius("evaluate", run)
    assert scored.returncode == 0, scored.stderr
    assert "squad.em" in scored.stdout
    assert (tmp_path / "run" / "scores.json").exists()
    assert "dialogues" in vesalius("fit", str(recipe), "--dry-run").stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["fit", "no.yaml"], "no.yaml: cannot be read"),
        (["fit", "RECIPE", "--set", "model.name=majorty"], "did you mean majority"),
        (["fit", "RECIPE", "--set", "data.dataset=phantoms"], "did you mean phantom"),
        (
            ["fit", "RECIPE", "--set", "data.options.cases.tain=3", "--set", "sede=1"],
            "did you mean seed",
        ),
        (["fit", "RECIPE", "--set", "data.splits.train=tran"], "did you mean train"),
        (
            ["fit", "RECIPE", "--set", "data.dataset=slake", "--set", "data.root=/no/where"],
            "no such folder",
        ),
        (["fit", "RECIPE", "--report-to", "wandb", "--report-to", "b]a"], "report_to.1: Input"),
        (["fit", "RECIPE", "--show-mask"], "learns no tokens"),
        (["data", "import", ".", "new", "--column", "capton=x"], "did you mean caption?"),
        (["predict", "--run", "nowhere"], "is not a run"),
        (["evaluate", "nowhere"], "nowhere"),
        (["ask", "none.png", "what?", "--run", "nowhere"], "is not a run"),
        (["report", "nowhere"], "is not a run"),
    ],
)
def test_a_fault_is_one_line_and_exit_code_2(recipe: Path, words: list[str], line: str) -> None:
    done = vesalius(*[str(recipe) if w == "RECIPE" else w for w in words])
    assert done.returncode == 2
    assert done.stderr.startswith("vesalius: ")
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_a_tracker_is_named_on_the_command_line(recipe: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    done = vesalius("fit", str(recipe), "--run", str(tmp_path / "run"), "--report-to=tensorboard")
    assert done.returncode == 0
    assert "tensorboard was given nothing: this model has no learning curve\n" in done.stderr
    assert "report_to:\n- tensorboard\n" in (tmp_path / "run" / "recipe.yaml").read_text()


def test_nothing_is_left_of_a_refused_fit(recipe: Path, tmp_path: Path) -> None:
    vesalius("fit", str(recipe), "--run", str(tmp_path / "run"), "--set", "data.splits.train=x")
    assert [p.name for p in tmp_path.iterdir()] == ["r.yaml"]


def test_the_version() -> None:
    assert vesalius("--version").stdout.strip()[0].isdigit()


def test_help_shows_the_commands_by_step() -> None:
    from vesalius.cli.main import app

    done = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["--help"])
    assert done.exit_code == 0
    panels: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        if re.fullmatch(r"\w.*:", line):
            panels[line.strip(":")] = commands = []
        elif re.match(r"  \w", line) and panels:
            commands.append(line.split()[0])
    del panels["Options"]
    assert list(panels) == list(PANELS)
    assert panels["Prepare"] == ["deidentify", "data"]
    assert set(panels["Adapt"]) >= {"fit", "export"}
    assert set(panels["Combine"]) >= {"retrieve"}
    assert set(panels["Evaluate"]) >= {"predict", "evaluate", "compare", "report"}
    assert set(panels["Serve"]) >= {"serve", "web", "mcp", "ask", "ratings", "keys", "log"}
    assert panels["All five steps"] == ["doctor", "demo"]


def test_annotations_of_commands_are_no_strings() -> None:
    """Typer would compile and evaluate each of them whenever it starts."""
    from vesalius.cli.main import app

    groups = [group.typer_instance for group in app.registered_groups]
    commands = [one.callback for each in (app, *groups) for one in each.registered_commands]
    ours = [one for one in commands if one.__module__.startswith("vesalius.")]
    assert len(ours) > 20
    kinds = [(one.__name__, kind) for one in ours for kind in one.__annotations__.values()]
    assert [name for name, kind in kinds if isinstance(kind, str)] == []


def test_help_loads_nothing_heavy() -> None:
    """Each of these takes longer to import than help may take."""
    heavy = (
        "{'torch', 'transformers', 'numpy', 'pydantic', 'yaml', 'PIL', 'scipy', 'pyarrow', 'rich'}"
    )
    code = f"""
import sys
from vesalius.cli.main import main
sys.argv = ["vesalius", "--help"]
try:
    main()
finally:
    print("heavy:", sorted({heavy} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_what_a_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,größe\na.png,5\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "vesalius", "data", "check", "folder", "--root", str(tmp_path)],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert b"gr\\xf6\\xdfe" in done.stdout
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("below", "why"), [("file/new", "Not a directory"), ("n" * 300, "File name too long")]
)
def test_a_target_that_the_machine_refuses_is_one_line(
    tmp_path: Path, below: str, why: str
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "t.jsonl").write_text('{"caption": "a nodule"}\n')
    done = vesalius("data", "import", str(tmp_path / "t.jsonl"), str(tmp_path / below))
    assert done.returncode == 2
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "t.jsonl"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="Linux's device that is full")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "vesalius", "data", "list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "vesalius: No space left on device\n"


def test_a_path_of_blanks_and_brackets_is_shown_as_a_shell_takes_it(
    recipe: Path, tmp_path: Path
) -> None:
    run = str(tmp_path / "my run [a]")
    assert (
        f"next: vesalius predict --run '{run}'" in vesalius("fit", str(recipe), "--run", run).stdout
    )
    answered = vesalius("predict", "--run", run)
    assert f"answers in {run}/predictions.jsonl" in answered.stdout
    assert f"next: vesalius evaluate '{run}'" in answered.stdout
    asked = vesalius("ask", str(tmp_path / "none.png"), "\u200b ", "--run", run)
    assert (asked.returncode, asked.stderr) == (2, "vesalius: the question is empty\n")
