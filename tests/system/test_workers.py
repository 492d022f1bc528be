"""Workers: a crash, a hang or a swelling ends one process and one task; nothing else notices."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vesalius.errors import ImageError, MissingExtra, Refusal, UnknownName, VesaliusError
from vesalius.system.workers import (
    Pool,
    Watch,
    WorkerBusy,
    WorkerFailed,
    WorkerLost,
    WorkerStopped,
    WorkerTimeout,
)

HERE = str(Path(__file__).parent)
GIB = 2**30


@pytest.fixture(scope="module")
def pool():
    with Pool("pool_tasks:do", size=2, memory=GIB, seconds=20) as made:
        yield made


def test_a_result_comes_back_whole(pool):
    data = os.urandom(3 * 2**20)
    assert pool.run("echo", data) == data
    assert pool.run("threads") == "1"


def test_a_worker_imports_its_function_and_little_else(pool):
    assert not {"torch", "numpy", "pytest", "typer"} & set(pool.run("modules"))


def test_a_crash_ends_one_worker_and_one_task(pool):
    before = pool.run("pid")
    with pytest.raises(WorkerLost, match="SIGSEGV") as caught:
        pool.run("crash")
    assert caught.value.code == "worker_lost"
    with pytest.raises(WorkerLost, match="exit status 3"):
        pool.run("leave")
    assert pool.run("echo", 1) == 1
    assert pool.run("pid") != before


def test_more_memory_than_is_given_ends_the_task_alone(pool):
    for task in ("swell", "swell_in_a_decoder"):
        with pytest.raises(WorkerLost, match="memory"):
            pool.run(task, 4 * GIB)
    assert pool.run("swell", GIB // 8) == GIB // 8


def test_who_watches_hears_how_far_a_task_is_and_whoever_does_not_has_its_result(pool):
    watch = Watch()
    assert pool.run("steps", 3, 0.0, watch=watch) == 3
    assert watch.progress == "step 2"
    assert pool.run("steps", 3, 0.0) == 3


def test_a_task_that_is_watched_has_its_time_and_no_more(pool):
    assert pool.run("sleep", 0.4, watch=Watch()) == "slept"
    with pytest.raises(WorkerTimeout):
        pool.run("steps", 100, 0.2, seconds=1.0, watch=Watch())


def test_a_watched_task_is_stopped_and_its_process_is_gone(pool):
    watch = Watch()
    with ThreadPoolExecutor() as threads:
        process = pool.run("pid")
        began = time.monotonic()
        task = threads.submit(pool.run, "steps", 2, 15.0, watch=watch)
        while not watch.progress:
            time.sleep(0.01)
        watch.stop.set()
        with pytest.raises(WorkerStopped):
            task.result()
    assert time.monotonic() - began < 5
    assert pool.run("pid") != process


def test_a_task_past_its_time_is_killed_and_others_are_not(pool):
    with ThreadPoolExecutor() as threads:
        other = threads.submit(pool.run, "sleep", 1.2)
        began = time.monotonic()
        with pytest.raises(WorkerTimeout) as caught:
            pool.run("sleep", 60, seconds=0.3)
        assert caught.value.code == "worker_timeout"
        assert time.monotonic() - began < 10
        assert other.result() == "slept"
    assert pool.run("echo", 2) == 2


def test_errors_keep_their_code_and_words(pool):
    with pytest.raises(ImageError) as caught:
        pool.run("refuse")
    error = caught.value
    assert (error.code, error.what, error.hint) == (
        "image_truncated",
        "it ends early",
        "send it again",
    )
    assert str(error) == "a.png: it ends early (send it again)"


def test_an_unforeseen_error_tells_its_kind_and_not_its_words(pool):
    with pytest.raises(WorkerFailed, match="ValueError") as caught:
        pool.run("blunder")
    assert "DOE" not in str(caught.value)
    for task in ("unpicklable", "panic"):
        with pytest.raises(WorkerFailed):
            pool.run(task)
    assert pool.run("echo", 3) == 3


def test_many_threads_get_each_its_own_answer(pool):
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda n: pool.run("echo", n), range(200))) == list(range(200))


def test_a_worker_is_replaced_after_so_many_tasks():
    with Pool("pool_tasks:do", size=1, recycle=3) as pool:
        pids = [pool.run("pid") for _ in range(7)]
        assert [len(set(pids[at : at + 3])) for at in (0, 3, 6)] == [1, 1, 1]
        assert len(set(pids)) == 3
        for worn in {*pids} - {pids[-1]}:
            with pytest.raises(ProcessLookupError):
                os.kill(worn, 0)


def test_waiting_in_line_counts_and_has_its_own_code():
    with Pool("pool_tasks:do", size=1) as pool, ThreadPoolExecutor() as threads:
        pool.start()
        busy = threads.submit(pool.run, "sleep", 1.0)
        while pool._free:
            time.sleep(0.01)
        with pytest.raises(WorkerBusy) as caught:
            pool.run("echo", 1, seconds=0.2)
        assert caught.value.code == "worker_busy"
        assert busy.result() == "slept"
        assert pool.ended == {"done": 1, "busy": 1}


def test_a_worker_killed_while_idle_is_not_noticed():
    with Pool("pool_tasks:do", size=1) as pool:
        os.kill(pool.run("pid"), 9)
        time.sleep(0.1)
        assert pool.run("echo", 4) == 4


def test_a_function_that_does_not_exist_is_said():
    for target in ("pool_tasks:nothing", "no_such_module:f"):
        with Pool(target, size=1) as pool, pytest.raises(WorkerLost, match="import"):
            pool.run()


def test_a_closed_pool_leaves_no_process_and_takes_no_task():
    pool = Pool("pool_tasks:do", size=1)
    worker = pool.run("pid")
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    with pytest.raises(WorkerLost, match="closed"):
        pool.run("echo", 1)


@pytest.mark.parametrize("seconds", [0.5, 600])  # the second outlives the test, unless it is ended
def test_the_parents_death_ends_idle_and_busy_workers(tmp_path, seconds):
    marker = tmp_path / "busy"
    script = f"""
import os, sys, threading, time
sys.path.insert(0, {HERE!r})
from vesalius.system.workers import Pool
pool = Pool("pool_tasks:do", size=2, seconds={seconds})
pool.start()
idle = pool.run("pid")
threading.Thread(target=lambda: pool.run("burn", {str(marker)!r}), daemon=True).start()
while not os.path.exists({str(marker)!r}) or not open({str(marker)!r}).read():
    time.sleep(0.01)
print(idle, open({str(marker)!r}).read(), flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    pids = {int(word) for word in done.stdout.split()}
    assert pids, done.stderr
    until = time.monotonic() + 15
    while any(_runs(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.1)
    assert not [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "error",
    [
        VesaliusError("what", where=Path("x"), hint="do this"),
        ImageError("image_frame", "no frame 3"),
        UnknownName("model", "vlit", ["vilt"]),
        MissingExtra("rapidocr", "ocr"),
        Refusal("overloaded", "come back", retry_after=2.5),
    ],
)
def test_every_error_survives_pickling(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert (str(back), back.code) == (str(error), error.code)
    assert vars(back) == vars(error)
