"""The notebooks are stripped, listed, and run from the first cell to the last."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "notebooks"
ALL = sorted(FOLDER.glob("*.ipynb"))
RUNNING = {
    "own-data": ("copy.png", "0 errors", "across splits: no leak"),
    "fine-tune": ("trainable", "█", "149 answers"),
    "evaluate": ("picture and question minus majority", "blanked:", "report.html"),
    "serve": ("415 unsupported_media_type", "deleted: 204 | asked again: 404", "ended with 0"),
}
"""What the outputs hold of those that need no GPU; `colab` is read by tests/test_recipes.py."""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def test_all_that_need_no_gpu_are_run() -> None:
    assert {path.stem for path in ALL} == {*RUNNING, "colab"}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_none_has_outputs_and_all_are_listed(path: Path) -> None:
    book = read(path)
    nbformat.validate(book)
    for cell in book.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    for page in ("README.md", "docs/guide/notebooks.md"):
        assert f"examples/notebooks/{path.name}" in (ROOT / page).read_text("utf-8"), page


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_what_they_point_at_is_there(path: Path) -> None:
    words = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)#]+\.ipynb)\)", words):
        assert (FOLDER / target).exists(), target
    for target in re.findall(r"`((?:docs|recipes|examples)/[\w./-]*)`", words):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNING)
def test_it_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    book = read(FOLDER / f"{name}.ipynb")
    NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    words = "".join(
        output.get("text", "") for cell in book.cells for output in cell.get("outputs", ())
    )
    for part in RUNNING[name]:
        assert part in words
    assert "Warning:" not in re.sub(r".*TqdmWarning.*", "", words)
