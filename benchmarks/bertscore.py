"""BERTScore beside the `bert-score` command, in one run: the same values, and the time of each.

    python benchmarks/bertscore.py --root ../shared/data/roco_captions_text --pairs 2000

Each caption is scored against the one before it, so that scores spread. Both sides are commands in
a process of their own, with the packaged MiniLM and the same layer, on the CPU with one thread.
The command gives a pair six decimals: any that differs by more than 1e-6 ends the benchmark. Pairs
that are not the same text on both sides are counted and left out: we normalise to NFKC, and do not
measure a reference with a word that the vocabulary lacks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.data.open import open_dataset
from vesalius.evaluation.metrics.bertscore import BertScore, packaged_model
from vesalius.language.script import normalised
from vesalius.system.files import append_lines


def captions(root: Path, number: int) -> list[str]:
    """One line each, as the command reads them."""
    cases = open_dataset("roco", root=root).cases("test")
    texts = (" ".join((case.caption or "").split()) for case in cases)
    return list(islice(texts, number))


def timed(name: str, *words: object) -> tuple[str, float]:
    """What a command of this environment prints, and seconds."""
    command = [str(Path(sys.executable).with_name(name)), *map(str, words)]
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=2000)
    chosen = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    pairs = list(pairwise(captions(chosen.root, chosen.pairs + 1)))
    rows = [
        Prediction(str(i), Answer(text), references=(Answer(reference),))
        for i, (reference, text) in enumerate(pairs)
    ]
    metric = BertScore()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        append_lines(folder / "rows.jsonl", [row.to_row() for row in rows])
        (folder / "references").write_text("".join(f"{pair[0]}\n" for pair in pairs))
        (folder / "candidates").write_text("".join(f"{pair[1]}\n" for pair in pairs))
        _, ours = timed(
            *["vesalius", "evaluate", folder / "rows.jsonl", "--metric", "bertscore"],
            *["--resamples", 0, "--save", folder / "scores.json"],
        )
        printed, theirs = timed(
            *["bert-score", "--model", packaged_model(), "--lang", "en", "--seg_level"],
            *["--num_layers", metric.described()["layer"], "--use_fast_tokenizer"],
            *["--nthreads", 1, "--ref", folder / "references", "--cand", folder / "candidates"],
        )
        scores = json.loads((folder / "scores.json").read_text())["scores"]
    published = np.array([line.split("\t") for line in printed.splitlines() if "\t" in line], float)
    table = metric.measure(rows)
    measured = np.stack(
        [table[f"bertscore.{one}"] for one in ("precision", "recall", "f1")], axis=1
    )
    absent = np.isnan(measured).any(axis=1)
    other = np.array([any(normalised(text) != text for text in pair) for pair in pairs])
    furthest = float(np.abs(measured - published)[~absent & ~other].max())
    if not furthest <= 1e-6:
        raise SystemExit(f"a pair differs by {furthest:.2g}: no comparison")
    print(
        json.dumps(
            {
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
                "bert-score": version("bert-score"),
                "pairs": len(pairs),
                "left out": {"not measured": int(absent.sum()), "normalised": int(other.sum())},
                "f1": next(s["value"] for s in scores if s["metric"] == "bertscore.f1"),
                "furthest": furthest,
                "seconds": {"vesalius evaluate": round(ours, 1), "bert-score": round(theirs, 1)},
                "ratio": round(theirs / ours, 2),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
