"""The package of docs/guide/extend.md: one entry of each kind, installed beside ours and used."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from outside import install

PAGE = (Path(__file__).parents[1] / "docs" / "guide" / "extend.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
KINDS = {"datasets", "metrics", "models", "families", "tasks", "commands"}


def blocks(language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall(PAGE) if kind == language]


class Place:
    """A folder with films and a recipe, and the package on the path of what runs there."""

    def __init__(self, root: Path) -> None:
        self.root, site = root, root / "site"
        code = [*blocks("python"), *blocks("yaml")]
        files = {text.splitlines()[0].removeprefix("# "): text for text in code}
        (root / "knees.yaml").write_text(files.pop("knees.yaml"))
        groups = tomllib.loads(blocks("toml")[0])["project"]["entry-points"]
        assert {group.removeprefix("vesalius.") for group in groups} == KINDS
        install(site, files, groups)
        films(root / "films")
        path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
        self.environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}

    def command(self, words: list[str]) -> list[str]:
        assert words[0] == "vesalius"
        return [sys.executable, "-m", *words]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            self.command(["vesalius", *words]),
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def films(folder: Path) -> None:
    """Twelve films, by turns bright with grade 4 and dark with grade 0, four a split."""
    folder.mkdir()
    with (folder / "grades.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "patient", "grade", "split"])
        for number in range(12):
            grade = "0" if number % 2 else "4"
            pixels = np.random.default_rng(number).integers(0, 60, (40, 40), dtype=np.uint8)
            Image.fromarray(pixels + (20 if grade == "0" else 180)).save(folder / f"{number}.png")
            split = ("train", "validation", "test")[number // 4]
            rows.writerow([f"{number}.png", f"P{number}", grade, split])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("outside"))


def lines_of(number: int) -> list[list[str]]:
    """The words of each line of a block of shell commands on the page."""
    return [shlex.split(line) for line in blocks("sh")[number].splitlines()]


@pytest.mark.slow
def test_one_entry_of_each_kind_goes_the_whole_way(place: Place) -> None:
    said = {}
    *steps, serve = lines_of(0)
    for words in steps:
        said[words[1]] = place.run(*words[1:])
    assert "12 pictures, 0 errors" in said["data"]
    assert "4 answers in" in said["predict"]
    # Half of the films are bright: the member that looks is sure of all, and right.
    assert re.search(r"squad\.em +1\.000", said["evaluate"])
    assert re.search(r"closed\.accuracy +1\.000", said["evaluate"])
    # "yes" and "no" against themselves: as long as their references.
    assert re.search(r"brevity +1\.000", said["evaluate"])
    assert said["grades"].splitlines() == ["2 x yes", "2 x no"]
    assert (place.root / "runs/knees/report.html").exists()
    (row, *_) = (place.root / "runs/knees/predictions.jsonl").read_text().splitlines()
    assert {one["member"] for one in json.loads(row)["evidence"]} == {"grey", "common"}
    in_its_step = r"\nEvaluate:\n(?:  .*\n)+?  grades +Count a run's answers"
    assert re.search(in_its_step, place.run("--help"))
    assert "CC0-1.0" in place.run("data", "list", "knee_grades")
    _serve(place, serve)


def _serve(place: Place, words: list[str]) -> None:
    """The run is asked over HTTP, as the page's last line starts it."""
    log = place.root / "serve.log"
    with log.open("w") as file:
        server = subprocess.Popen(
            [*place.command(words), "--port", "0"],
            cwd=place.root,
            env=place.environment,
            stderr=file,
            stdout=file,
        )
    try:
        url = _ready(server, log)
        picture = (place.root / "films/8.png").read_bytes()
        image = _post(f"{url}/upload_image", picture, "multipart/form-data; boundary=b")["image_id"]
        form = urllib.parse.urlencode({"image_id": image, "question": "is there arthrosis?"})
        answer = _post(f"{url}/ask_question", form.encode(), "application/x-www-form-urlencoded")
        assert answer["answer"] == "yes"
        assert {one["member"] for one in answer["members"]} == {"grey", "common"}
    finally:
        server.terminate()
        assert server.wait(60) is not None


def _ready(server: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(1200):
        assert server.poll() is None, log.read_text()
        named = re.search(r"vesalius serves (http\S+)", log.read_text())
        if named is not None:
            try:
                urllib.request.urlopen(f"{named[1]}/readyz", timeout=5).close()
            except OSError:
                pass
            else:
                return named[1]
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def _post(url: str, body: bytes, kind: str) -> dict[str, object]:
    if kind.startswith("multipart"):
        head = b'--b\r\nContent-Disposition: form-data; name="image_file"; filename="a.png"\r\n\r\n'
        body = head + body + b"\r\n--b--\r\n"
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


@pytest.mark.slow
def test_a_family_of_another_package_is_fitted_and_answers(place: Place) -> None:
    for words in lines_of(1):
        place.run(*words[1:])
    predictions = (place.root / "runs/network/predictions.jsonl").read_text().splitlines()
    assert len(predictions) == 4
