"""One prediction by 1, 2, 4 and 8 workers, and by four that are killed fifty times: the same rows?

python benchmarks/shards.py [--cases 400] [--kills 50] [--workers 1 2 4 8] [--ray 2]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RECIPE = """
name: shards
data:
  dataset: phantom
  options: {{cases: {{train: 8, validation: 2, test: {cases}}}, size: 48}}
  leaks: allow
model:
  name: generative
  family: llava
  tiny: true
  training: {{max_steps: 1, batch: 4}}
decoding: {{max_new_tokens: 16, batch: 8}}
"""
ABREAST = 4
"""Workers at a time while some are killed."""
VESALIUS = (sys.executable, "-m", "vesalius")


def command(*words: str) -> subprocess.Popen[bytes]:
    """Start ``vesalius`` with these words, in silence."""
    null = subprocess.DEVNULL
    return subprocess.Popen([*VESALIUS, *words], stdout=null, stderr=null)


def run_all(*processes: subprocess.Popen[bytes]) -> None:
    """Wait for processes that must all end well."""
    codes = [process.wait() for process in processes]  # of all, before any is judged
    if any(codes):
        raise SystemExit("a command failed")


def rows(run: Path) -> list[dict[str, Any]]:
    """The predictions without what they cost."""
    lines = (run / "predictions.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "usage"} for line in lines]


def merged(run: Path) -> list[dict[str, Any]]:
    """The rows after a merge."""
    run_all(command("predict", "--run", str(run), "--merge"))
    return rows(run)


def killed(run: Path, kills: int, seed: int = 0) -> int:
    """Four workers, one of them killed at a random moment, until all is done; how many were."""
    draw, done = random.Random(seed), 0
    words = ("predict", "--run", str(run), "--worker")
    living = [command(*words) for _ in range(ABREAST)]
    while done < kills:
        time.sleep(draw.uniform(0, 4))
        at = draw.randrange(ABREAST)
        if living[at].poll() is None:
            living[at].send_signal(signal.SIGKILL)
            done += living[at].wait() == -signal.SIGKILL
        elif all(process.poll() == 0 for process in living):
            break
        living[at] = command(*words)
    run_all(*living)
    return done


def main() -> None:
    """Fit, predict alone, then in every other way; a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=400)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--workers", type=int, nargs="*", default=(1, 2, 4, 8))
    parser.add_argument("--ray", type=int, nargs="*", default=(), help="also so many of Ray's")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "recipe.yaml").write_text(RECIPE.format(cases=options.cases))
        fitted = folder / "fitted"
        run_all(command("fit", str(folder / "recipe.yaml"), "--run", str(fitted)))

        def copy(name: str) -> Path:
            return Path(shutil.copytree(fitted, folder / name))

        alone = copy("alone")
        started = time.monotonic()
        run_all(command("predict", "--run", str(alone)))
        whole = rows(alone)
        one = time.monotonic() - started
        print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print(f"alone: {len(whole)} rows in {one:.1f} s", flush=True)
        for number in options.workers:
            run, started = copy(f"workers-{number}"), time.monotonic()
            words = ("predict", "--run", str(run), "--worker")
            run_all(*(command(*words) for _ in range(number)))
            seconds, same = time.monotonic() - started, merged(run) == whole
            ratio = f"{one / seconds:.2f} times as fast"
            print(f"{number} workers: {seconds:.1f} s, {ratio}, the same rows: {same}", flush=True)
        for number in options.ray:
            run, started = copy(f"ray-{number}"), time.monotonic()
            words = ("--engine", "ray", "--workers", str(number))
            run_all(command("predict", "--run", str(run), *words))
            seconds, same = time.monotonic() - started, rows(run) == whole
            ratio = f"{one / seconds:.2f} times as fast"
            print(f"{number} of Ray's: {seconds:.1f} s, {ratio}, the same rows: {same}", flush=True)
        if not options.kills:
            return
        run, started = copy("killed"), time.monotonic()
        number = killed(run, options.kills)
        seconds, same = time.monotonic() - started, merged(run) == whole
        claims = len(list((run / "shards" / "predict").glob("*.claim.*")))
        results = len(list((run / "shards" / "predict").glob("*.jsonl")))
        print(
            f"{number} kills: {seconds:.1f} s, {results} shards by {claims} claims, "
            f"the same rows: {same}"
        )


if __name__ == "__main__":
    main()
