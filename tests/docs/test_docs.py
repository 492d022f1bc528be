"""The documentation says what the code does: commands, entries, links and examples."""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
WRITTEN = sorted(
    path
    for path in (*ROOT.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("guide/*.md"))
    if path.is_file()
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The docs extension that writes the reference."""
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        import vesalius_docs

        yield vesalius_docs
    finally:
        sys.path.remove(str(DOCS / "_ext"))


@pytest.fixture(scope="session")
def pages(reference: ModuleType) -> dict[str, str]:
    """The generated pages."""
    return reference.pages()


def blocks(path: Path, language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall(path.read_text()) if kind == language]


def shell_lines(path: Path) -> list[list[str]]:
    text = "\n".join(blocks(path, "bash")).replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in text.splitlines() if line.strip()]


def identity(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", WRITTEN, ids=identity)
def test_shell_commands_exist_with_their_options(path: Path, reference: ModuleType) -> None:
    commands = reference.cli.commands()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in shell_lines(path):
        if words[0] == "make":
            assert set(words[1:]) <= targets, words
        if words[0] != "vesalius":
            continue
        name = words[1] if words[1] in commands else " ".join(words[1:3])
        assert name in commands, words
        flags = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert flags <= reference.cli.options(commands[name]), words
        least = sum(p.required for p in commands[name].params if p.param_type_name == "argument")
        assert len(words) - 1 - len(name.split()) >= least, words
        required = {p.opts[0] for p in commands[name].params if p.required and "--" in p.opts[0]}
        assert required <= flags, words


@pytest.mark.parametrize("path", WRITTEN, ids=identity)
def test_recipes_in_shell_commands_exist(path: Path) -> None:
    for words in shell_lines(path):
        for word in words:
            if word.startswith(("recipes/", "examples/")):
                assert (ROOT / word).exists(), word


@pytest.mark.parametrize("path", WRITTEN, ids=identity)
def test_yaml_of_whole_recipes_is_valid(path: Path) -> None:
    import yaml

    from vesalius.recipe import Recipe

    for code in blocks(path, "yaml"):
        content = yaml.safe_load(code)
        if {"name", "data", "model"} <= set(content):
            Recipe.model_validate(content)


@pytest.mark.parametrize("path", WRITTEN, ids=identity)
def test_local_links_resolve(path: Path, pages: dict[str, str]) -> None:
    generated = {DOCS / "reference" / name for name in pages}
    text = path.read_text()
    included = re.findall(r"^```\{(?:include|literalinclude)\} (\S+)", text, re.MULTILINE)
    for target in [*LINK.findall(text), *included]:
        place = (path.parent / target).resolve()
        assert place.exists() or place in generated, target


def test_every_command_has_a_guide_page_in_the_table_of_contents(reference: ModuleType) -> None:
    listed = (DOCS / "guide" / "index.md").read_text().split()
    for name in reference.cli.commands():
        slug = reference.cli.slug(name)
        page = DOCS / "guide" / f"{slug}.md"
        assert page.exists(), f"vesalius {name} has no page docs/guide/{slug}.md"
        assert slug in listed, f"{slug} is not in docs/guide/index.md"
        assert f"../reference/_cli/{slug}.md" in page.read_text(), f"{slug} shows no options"


def test_the_readme_lists_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    table = (ROOT / "README.md").read_text().split("| extra |")[1].split("\n\n")[0]
    listed = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()[2:]))
    assert sorted(listed) == sorted(set(extras["optional-dependencies"]) - {"dev", "docs"})


def test_nothing_is_installed_by_a_name_that_is_not_registered() -> None:
    """Where the name stands in a command, nothing but a folder is looked through."""
    for path in WRITTEN:
        for words in shell_lines(path):
            if "install" in words and any(word.startswith("vesalius") for word in words):
                assert "--no-index" in words, (path, words)


def test_every_option_has_help(reference: ModuleType) -> None:
    for name, command in reference.cli.commands().items():
        assert command.help, name
        assert not [p.name for p in command.params if not p.hidden and not p.help], name


def test_every_registry_entry_is_documented(pages: dict[str, str]) -> None:
    from vesalius.data.datasets import datasets
    from vesalius.evaluation.metrics import metrics
    from vesalius.models import models

    cards = (DOCS / "model-cards.md").read_text()
    for name in models:
        assert f"\n## {name}\n" in pages["models.md"]
        assert f"\n## {name}\n" in cards, f"{name} has no section in docs/model-cards.md"
    for name in datasets:
        assert f"\n## {name}\n" in pages["datasets.md"]
    for name in metrics:
        section = pages["metrics.md"].split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert "| implementation |" in section
        assert "Scores: `" in section


def test_every_public_name_is_documented(pages: dict[str, str]) -> None:
    import vesalius

    for name in vesalius.__all__:
        assert re.search(rf":: vesalius\.{name}\n", pages["api.md"])


def test_every_setting_of_a_recipe_is_documented(pages: dict[str, str]) -> None:
    from vesalius.recipe import Data, Decoding, Evaluation, Recipe, Retrieve, Splits

    for block in (Recipe, Data, Splits, Decoding, Evaluation, Retrieve):
        for key in block.model_fields:
            assert f"| `{key}` |" in pages["recipe.md"]


def test_the_example_on_own_data_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "own_data.py"))["main"](tmp_path)
    said = capsys.readouterr().out
    assert "60 pictures checked, 0 errors" in said
    assert "leaks: none" in said
    assert (tmp_path / "my-data" / "train.jsonl").exists()


def test_the_example_of_an_own_metric_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "own_metric.py"))["main"]()
    verdicts = dict(re.findall(r"(\w[\w ]*?) +falls by [\d.]+: (\w+)", capsys.readouterr().out))
    assert verdicts["side"] == "blind"
    assert verdicts["empty"] == "sees"
    assert verdicts["shuffled sentences"] == "tolerates"


def test_the_example_of_formats_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "formats.py"))["main"](tmp_path)
    said = capsys.readouterr().out
    assert "hub: {'train': 8, 'test': 4} rows; not written: nothing" in said
    assert "fhir: DiagnosticReport Observation ImagingStudy Device" in said
    assert (tmp_path / "hub" / "croissant.json").exists()


@pytest.mark.slow
def test_the_judge_and_its_experts_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(ROOT / "examples" / "judge.py"))
    names["main"](names["phantom_run"]())
    said = capsys.readouterr().out
    assert "agreement with 3 experts on 120 of" in said
    assert "known, as all is simulated" in said


@pytest.mark.slow
def test_the_whole_way_goes_through_on_one_screen(tmp_path: Path) -> None:
    """``examples/whole.sh``: its service is asked once, and is gone when the script ends."""
    script = ROOT / "examples" / "whole.sh"
    assert len(script.read_text().splitlines()) <= 50
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [str(script), str(tmp_path / "whole")],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    for part in ("train: ", "is fitted", "answers in", "squad.em", "report: ", "served answer: "):
        assert part in said
    assert (tmp_path / "whole" / "run" / "report.html").exists()
    (url,) = re.findall(r"vesalius serves (http\S+)", (tmp_path / "whole/serve.log").read_text())
    with pytest.raises(OSError, match="refused"), urlopen(f"{url}/livez", timeout=5):
        pass


def test_the_recipe_for_own_data_loads() -> None:
    from vesalius.recipe import load_recipe

    recipe = load_recipe(ROOT / "examples" / "own-data.yaml", ["data.root=elsewhere"])
    assert recipe.data.dataset == "folder"
    assert recipe.data.root == "elsewhere"


@pytest.mark.slow
def test_the_quickstart_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if importlib.util.find_spec("vesalius.data.datasets.phantom") is None:
        pytest.skip("phantom is not written yet")
    runpy.run_path(str(ROOT / "examples" / "quickstart.py"))["main"](tmp_path)
    said = capsys.readouterr().out
    assert "majority: exact match" in said
    assert "linear_probe minus majority" in said


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", "-d", tmp_path / "trees"]
    done = subprocess.run(
        [*map(str, command), str(DOCS), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "reference" / "cli.html").exists()


def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "threats.md").read_text("utf-8")))
    files = (ROOT / "tests").rglob("test_*.py")
    there = {
        name for file in files for name in re.findall(r"def (test_\w+)", file.read_text("utf-8"))
    }
    assert len(named) > 30
    assert named <= there
