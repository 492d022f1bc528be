"""The benchmark of what is done again: its counters count, and say where they do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import once

SOURCE = Path(once.__file__).resolve().parents[1] / "src"

WORK = """
from io import BytesIO
import numpy as np
from PIL import Image
from vesalius.cases.picture import Picture
from vesalius.evaluation import scoring
from vesalius.models.encoders import image_encoder
from transformers import AutoModelForImageTextToText

file = BytesIO()
Image.new("RGB", (8, 8)).save(file, "PNG")
pictures = [Picture(key, file.getvalue) for key in "ab"]
pictures[0].pixels().load()  # one: what is decoded is not decoded again
image_encoder("efficientnet_lite0").embed(pictures)  # one: they are the same picture
scoring.bootstrap(lambda weights: {"n": weights.sum(1)}, np.arange(3), 5)
AutoModelForImageTextToText.from_pretrained("BASE")
AutoModelForImageTextToText.from_pretrained("BASE", device_map="meta")  # an outline is no base
"""


@pytest.mark.slow
def test_each_counter_counts_what_happens(tmp_path: Path) -> None:
    once.write_base(tmp_path)
    work = WORK.replace("BASE", str(tmp_path / "base"))
    places = os.environ | once.counting(tmp_path, SOURCE)
    subprocess.run([sys.executable, "-c", work], env=places, check=True, capture_output=True)
    tally = once.Tally()
    tally.read("work", tmp_path / "log")
    assert dict(zip(once.KINDS, tally.rows()["work"], strict=True)) == {
        "decodes": 2, "bases": 1, "encoders": 1, "embedded": 1, "bootstraps": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", "sitecustomize did not run"),
        ("targets a b\nwrapped a decodes\ncount decodes 3", "never imported.*: b$"),
        (f"targets a\nwrapped a {' '.join(once.KINDS)}\ncount decodes 3", "never called.*bases"),
    ],
)
def test_what_counts_nothing_ends_it(tmp_path: Path, log: str, reason: str) -> None:
    (tmp_path / "log").write_text(log)
    tally = once.Tally()
    tally.read("work", tmp_path / "log")
    with pytest.raises(SystemExit, match=reason):
        tally.rows()


def test_a_kind_that_a_step_never_imports_is_no_zero(tmp_path: Path) -> None:
    lines = ["targets a", f"wrapped a {' '.join(once.KINDS)}"]
    (tmp_path / "log").write_text("\n".join(lines + [f"count {kind} 2" for kind in once.KINDS]))
    tally = once.Tally()
    tally.read("fit", tmp_path / "log")
    (tmp_path / "log").write_text("targets a\nwrapped b decodes")
    tally.read("import", tmp_path / "log")
    assert tally.rows() == {"fit": (2,) * 5, "import": (0, None, None, None, None)}
    assert once.total(tally.rows()) == (2,) * 5
