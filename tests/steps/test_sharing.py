"""Shared predictions: shards answered by any number of workers are one prediction's rows."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vesalius import Recipe, Run
from vesalius.cli.main import main
from vesalius.errors import DatasetError, RunError
from vesalius.steps.answer_set import Key
from vesalius.steps.fit import fit
from vesalius.steps.predict import SplitQuestions, predict
from vesalius.steps.probe import ProbeQuestions, probe
from vesalius.steps.sharing import SharedAnswers

RECIPE = {
    "name": "shared",
    "data": {
        "dataset": "phantom",
        "options": {"cases": {"train": 4, "validation": 2, "test": 9}, "size": 48},
        "leaks": "allow",
    },
    "model": {
        "name": "generative",
        "tiny": True,
        "family": "llava",
        "training": {"max_steps": 1, "batch": 4},
    },
    "decoding": {"max_new_tokens": 4, "batch": 2},
}
SHARDS = 9
"""Of 72 questions, 8 of which are handed over together."""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A run's folder, and the rows of its ordinary prediction, which the folder does not have."""
    path = tmp_path_factory.mktemp("run") / "run"
    run = fit(Recipe.model_validate(RECIPE), path)
    status = (path / "status.json").read_bytes()
    predict(run)
    whole = rows(run)
    run.predictions_file().unlink()
    (path / "status.json").write_bytes(status)
    return path, whole


@pytest.fixture
def run(fitted: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> Run:
    shutil.copytree(fitted[0], tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.fixture
def whole(fitted: tuple[Path, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return fitted[1]


def rows(run: Run, name: str = "") -> list[dict[str, Any]]:
    """A set's rows without what the work cost."""
    lines = run.predictions_file(name).read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "usage"} for line in lines]


def shards(run: Run) -> Path:
    return run.path / "shards" / "predict"


def test_one_worker_and_a_merge_are_an_ordinary_prediction(run: Run, whole, capsys) -> None:
    questions = SplitQuestions.of(run)
    assert SharedAnswers(questions).work() == len(whole)
    assert not run.predictions_file().exists()
    told = capsys.readouterr().err
    assert "the first 32: " in told
    assert "40 of 72 items are left" in told
    assert "this worker: 72 items in " in told
    assert SharedAnswers(questions).merge() == len(whole)
    assert rows(run) == whole
    noted = run.status()["predictions"]["test"]
    assert (noted["n"], noted["complete"], noted["split"]) == (len(whole), True, "test")


def test_a_finished_run_stays_as_it_is_also_when_its_shards_are_gone(run: Run, whole) -> None:
    questions = SplitQuestions.of(run)
    SharedAnswers(questions).work()
    SharedAnswers(questions).merge()
    before = run.predictions_file().read_bytes()
    for _ in range(2):
        assert SharedAnswers(questions).merge() == len(whole)
        assert SharedAnswers(questions).work() == 0
        assert run.predictions_file().read_bytes() == before
        shutil.rmtree(run.path / "shards", ignore_errors=True)
    assert predict(run) == len(whole)


@pytest.mark.parametrize("how", [("blank", None, 10), (None, None, 20)])
def test_named_sets_and_limits_are_shared_too(run: Run, how: tuple[Any, ...]) -> None:
    change, history, limit = how
    predict(run, change=change, history=history, limit=limit, name="alone")
    questions = SplitQuestions.of(run, None, *how, name="together")
    SharedAnswers(questions).work()
    assert SharedAnswers(questions).merge() == len(rows(run, "alone"))
    assert rows(run, "together") == rows(run, "alone")


@pytest.mark.parametrize("history", ["none", "own", "gold"])
def test_histories_are_shared_by_whole_dialogues(history: str, tmp_path: Path) -> None:
    recipe = Recipe.model_validate(RECIPE | {"data": RECIPE["data"] | {"task": "dialogue"}})
    run = fit(recipe, tmp_path / "run")
    predict(run, history=history, name="alone")
    questions = SplitQuestions.of(run, None, None, history, name="together")
    turns = len(rows(run, "alone"))
    assert SharedAnswers(questions).work() == turns
    assert SharedAnswers(questions).merge() == turns
    assert SharedAnswers(questions).merge() == turns
    assert rows(run, "together") == rows(run, "alone")


def test_a_probe_by_workers_is_the_probe_of_one(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "alone")
    alone, only = Run.open(tmp_path / "alone"), ["blank", "reworded", "mirrored"]
    with pytest.raises(RunError, match=r"its own answers to test are not all there"):
        ProbeQuestions.of(run, only=only)
    predict(alone)
    predict(run)
    expected = probe(alone, only=only)
    questions = ProbeQuestions.of(run, only=only)
    asked = sum(len(rows(alone, name)) for name in only)
    assert SharedAnswers(questions).work() == asked
    assert SharedAnswers(questions).merge() == asked
    assert [rows(run, name) for name in only] == [rows(alone, name) for name in only]

    def never(*_: object) -> None:
        raise AssertionError("everything is answered already")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vesalius.steps.probe.load", never)
        measured = probe(run, only=only)
    assert repr([row.scores for row in measured.rows]) == repr(
        [row.scores for row in expected.rows]
    )


def test_claims_and_shards_may_be_in_a_bucket(run: Run, whole, tmp_path: Path) -> None:
    questions, at = SplitQuestions.of(run), f"memory://{tmp_path.name}"
    assert SharedAnswers(questions, at).work() == len(whole)
    assert not (run.path / "shards").exists()
    SharedAnswers(questions, at).merge()
    assert rows(run) == whole


def test_a_merge_refuses_gaps_doubles_and_strangers_and_changes_nothing(run: Run, whole) -> None:
    questions = SplitQuestions.of(run)
    SharedAnswers(questions).work()
    place, file = shards(run), shards(run) / "000003.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    first, last = (json.loads(line)["id"] for line in (lines[0], lines[-1]))
    stranger = json.dumps(json.loads(lines[0]) | {"id": "nobody"}) + "\n"
    for content, words in (
        (lines[:-1], f"lacks the answer '{last}'"),
        ([*lines, lines[0]], f"holds the answer '{first}' twice"),
        ([*lines, stranger], "holds 'nobody', which is not asked in it"),
        (["{}\n"], f"lacks the answer '{first}'"),
        (lines[::-1], "holds its answers in another order"),
    ):
        file.write_text("".join(content))
        with pytest.raises(RunError, match=f"shard 3 {words}") as refused:
            SharedAnswers(questions).merge()
        assert str(place) in str(refused.value)
        assert not run.predictions_file().exists()
    file.unlink()
    with pytest.raises(RunError, match="1 of 9 shards have no result: 3"):
        SharedAnswers(questions).merge()
    assert SharedAnswers(questions).work() == len(lines)
    SharedAnswers(questions).merge()
    assert rows(run) == whole


@dataclass(frozen=True)
class Named:
    """Questions that have the names given, two a unit."""

    run: Run
    names: tuple[str, ...]
    work: str = "named"
    unit: int = 2

    def sets(self) -> dict[str, dict[str, Any]]:
        return {"": {"split": "test"}}

    def items(self) -> Iterator[str]:
        return iter(self.names)

    def keys(self, some: list[str]) -> list[Key]:
        return [Key("", one) for one in some]


def test_two_questions_of_one_name_are_refused_and_of_one_number_are_not(
    run: Run, monkeypatch
) -> None:
    with pytest.raises(DatasetError, match="two questions of the split have the id 'b'"):
        SharedAnswers(Named(run, ("a", "b", "c", "b", "d")))
    monkeypatch.setattr("vesalius.steps.sharing._number", lambda key: len(key.id))
    shared = SharedAnswers(Named(run, ("a", "b", "cc", "d")))  # by chance, as good as never
    assert shared.shards.items == 4
    with pytest.raises(DatasetError, match="the id 'b'"):
        SharedAnswers(Named(run, ("a", "b", "cc", "b")))


def test_workers_of_another_fit_or_data_are_refused(run: Run) -> None:
    SharedAnswers(SplitQuestions.of(run)).work()
    with pytest.raises(RunError, match="items 16, there 72"):
        SharedAnswers(SplitQuestions.of(run, None, None, None, 16)).work()
    run.note(finished="another day")
    with pytest.raises(RunError, match="here fitted another day, there "):
        SharedAnswers(SplitQuestions.of(run)).work()


def test_a_run_that_is_not_fitted_is_refused(run: Run) -> None:
    run.note(state="fitting")
    with pytest.raises(RunError, match="was not fitted to the end"):
        SharedAnswers(SplitQuestions.of(run)).work()


def told(command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> tuple[int, str, str]:
    """The exit code of ``vesalius`` with these words, and what it said."""
    monkeypatch.setattr(sys, "argv", ["vesalius", *command])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0), *capsys.readouterr()


def test_the_command_works_then_merges(run: Run, whole, monkeypatch, capsys) -> None:
    base = ["predict", "--run", str(run.path)]
    code, _, err = told([*base, "--merge"], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "9 of 9 shards have no result: 0, 1, 2, 3, 4, 5, 6, 7 ..." in err
    code, out, _ = told([*base, "--worker"], monkeypatch, capsys)
    assert code == 0
    assert "--merge" in out
    code, out, _ = told([*base, "--merge"], monkeypatch, capsys)
    assert code == 0
    assert "72 answers in" in out.replace("\n", "")
    assert rows(run) == whole
    run.note(predictions={})
    (shards(run) / "job.json").write_text('{"vesalius": "0.0.1"}')
    code, _, err = told([*base, "--worker"], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "there 0.0.1" in err


def test_a_probe_command_works_then_measures(run: Run, monkeypatch, capsys) -> None:
    base = ["probe", str(run.path), "--only", "blank"]
    code, _, err = told([*base, "--worker", "--translated-by", "x"], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "workers do not translate" in err
    code, _, err = told([*base, "--worker"], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "vesalius predict" in err
    predict(run)
    assert told([*base, "--worker"], monkeypatch, capsys)[0] == 0
    code, out, _ = told([*base, "--merge"], monkeypatch, capsys)
    assert code == 0
    assert "under changes" in out


def test_a_worker_that_is_told_to_end_gives_its_shard_up(run: Run, monkeypatch, capsys) -> None:
    def told_to_end(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    base, before = ["predict", "--run", str(run.path), "--worker"], signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr("vesalius.steps.sharing.SplitQuestions.answers", told_to_end)
        assert told(base, monkeypatch, capsys)[0] == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert [path.name for path in shards(run).glob("*.over")] == ["000000.claim.1.over"]
    assert told(base, monkeypatch, capsys)[0] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--worker", "--merge"], "--worker and --merge are two commands"),
        (["--shards", "somewhere"], "--shards is of no use to one process alone"),
        (["--worker", "--shards", "memory://x"], "--shards memory://x: is seen by one process"),
    ],
)
def test_options_that_contradict_are_refused(run: Run, options, words, monkeypatch, capsys) -> None:
    code, _, err = told(["predict", "--run", str(run.path), *options], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert words in err


CALLS = ("link", "fsync", "utime", "unlink")
"""What a worker does to a folder that others may see."""


def killed_at(run: Run, moment: int) -> bool:
    """Whether a worker that is killed at its call number ``moment`` was still at work then."""
    child = os.fork()
    if child == 0:  # its model is loaded in milliseconds: only the kill costs time
        left = iter(range(moment))

        def deadly(call: Any) -> Any:
            def counted(*args: Any, **kwargs: Any) -> Any:
                if next(left, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **kwargs)

            return counted

        for name in CALLS:
            setattr(os, name, deadly(getattr(os, name)))
        code = 1
        with suppress(BaseException):
            SharedAnswers(SplitQuestions.of(run)).work()
            code = 0
        os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def kill_and_finish(run: Run, moments: Iterator[int], whole: list[dict[str, Any]]) -> int:
    """How many workers were killed before one ended; then the rows are those of one prediction."""
    kills = 0
    for moment in moments:
        if not killed_at(run, moment):
            break
        kills += 1
    questions = SplitQuestions.of(run)
    SharedAnswers(questions).work()
    results = list(shards(run).glob("*.jsonl"))
    assert len(results) == SHARDS
    SharedAnswers(questions).merge()
    assert rows(run) == whole
    return kills


def test_workers_killed_one_after_the_other_lose_nothing(run: Run, whole) -> None:
    assert kill_and_finish(run, iter([0, 2, 5, 9, 7, 3]), whole) == 6


@pytest.mark.slow
def test_workers_killed_at_each_of_fifty_points_lose_nothing(
    fitted: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    path, whole = fitted
    for moment in range(50):
        target = tmp_path / str(moment)
        shutil.copytree(path, target)
        assert kill_and_finish(Run.open(target), iter([moment]), whole) == 1
        shutil.rmtree(target)


def test_a_full_disk_ends_a_worker_in_a_line_and_it_goes_on(run, whole, monkeypatch) -> None:
    fsync, calls = os.fsync, []

    def full(file: int) -> None:
        calls.append(file)
        if len(calls) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(file)

    questions = SplitQuestions.of(run)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"predict: is full; what is there already is whole"):
            SharedAnswers(questions).work()
    assert 0 < len(list(shards(run).glob("*.jsonl"))) < SHARDS
    SharedAnswers(questions).work()
    SharedAnswers(questions).merge()
    assert rows(run) == whole


def test_a_limit_on_file_sizes_is_a_full_disk(run: Run) -> None:
    command = [sys.executable, "-m", "vesalius", "predict", "--run", str(run.path), "--worker"]
    limit = 2_000  # bytes: a claim fits, a shard's rows do not
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert ended.returncode == 2
    assert "is full; what is there already is whole" in ended.stderr.splitlines()[-1]
    assert not list(shards(run).glob("*.jsonl"))
    assert not list(shards(run).glob(".*"))


def test_a_place_that_vanishes_ends_a_worker_in_a_line(run: Run, whole, tmp_path) -> None:
    at = tmp_path / "mount"
    questions = SplitQuestions.of(run)
    answers = SplitQuestions.answers

    def vanish(*args: Any) -> Any:
        yield from answers(*args)
        if len(list(at.glob("*.jsonl"))) == 3:
            at.rename(tmp_path / "away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SplitQuestions, "answers", vanish)
        with pytest.raises(RunError, match="mount: is not there any more"):
            SharedAnswers(questions, str(at)).work()
    (tmp_path / "away").rename(at)
    assert SharedAnswers(questions, str(at)).work() == len(whole) - 3 * 8
    SharedAnswers(questions, str(at)).merge()
    assert rows(run) == whole


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_workers_on_one_machine_give_one_prediction(run: Run, whole, workers: int) -> None:
    command = [sys.executable, "-m", "vesalius", "predict", "--run", str(run.path)]
    started = [subprocess.Popen([*command, "--worker"]) for _ in range(workers)]
    assert [process.wait(300) for process in started] == [0] * workers
    assert subprocess.run([*command, "--merge"], check=False).returncode == 0
    assert rows(run) == whole
