"""Concept detection on phantoms, and on captions that a dictionary labels.

    python benchmarks/concepts.py phantom
    python benchmarks/concepts.py medpix --root medpix2
    python benchmarks/concepts.py captions --root roco_captions_text

``phantom`` and ``medpix`` fit a tagger, its variants, the neighbours' vote and their ensembles, and print F1 of an image,
averaged, with its interval; ``captions`` holds the dictionary against the codes that ROCO ships with its captions.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from vesalius.data.open import open_dataset
from vesalius.evaluation.evaluate import evaluate_run
from vesalius.evaluation.long_tail import by_frequency, concept_counts
from vesalius.language.dictionary import finding_dictionary
from vesalius.recipe import Recipe
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict

TAGGER: dict[str, Any] = {"name": "tagger"}
NEIGHBOURS: dict[str, Any] = {"name": "concept_neighbours"}
SYSTEMS: dict[str, dict[str, Any]] = {
    "tagger, thresholds alone": {**TAGGER, "count_level": None},
    "tagger": TAGGER,
    "tagger, asymmetric loss": {**TAGGER, "loss": "asymmetric"},
    "33 neighbours": NEIGHBOURS,
    "5 neighbours": {**NEIGHBOURS, "neighbours": 5},
    "union of tagger and 33 neighbours": {"name": "concept_ensemble", "rule": "union",
                                          "members": {"tagger": TAGGER, "neighbours": NEIGHBOURS}},
    "intersection of them": {"name": "concept_ensemble", "rule": "intersection",
                             "members": {"tagger": TAGGER, "neighbours": NEIGHBOURS}},
}  # fmt: skip


def measured(data: dict[str, Any], folder: Path) -> None:
    print(
        "| system | F1 | precision | recall | concepts an image |\n| --- | --- | --- | --- | --- |"
    )
    for number, (name, model) in enumerate(SYSTEMS.items()):
        recipe = Recipe.model_validate(
            {"name": "concepts", "data": {"task": "concepts", **data}, "model": model,
             "evaluation": {"metrics": ["concepts_f1"], "watch": "concepts.f1"}}
        )  # fmt: skip
        run = fit(recipe, folder / str(number))
        predict(run)
        scores = evaluate_run(run)
        f1, *others = (scores.score(f"concepts.{one}") for one in ("f1", "precision", "recall"))
        answers = list(run.predictions())
        mean = sum(len(p.answer.concepts or ()) for p in answers) / len(answers)
        shares = " | ".join(f"{one.value:.3f}" for one in others)
        print(f"| {name} | {f1} | {shares} | {mean:.2f} |", flush=True)
        if name == "tagger":
            tail = by_frequency(concept_counts(answers), run.concepts())
    print(
        f"\n{f1.n} images, {f1.groups} groups; F1 of the tagger by tenths of the training concepts:"
    )
    print("| tenth | training images | measured | macro F1 |\n| --- | --- | --- | --- |")
    for row in tail:
        print(
            f"| {row.name} | {row.least} to {row.most} | {row.measured}/{row.concepts} | {row.macro:.3f} |"
        )


def captions(root: str) -> None:
    known = finding_dictionary()
    plain = open_dataset("roco", root)
    read = open_dataset("roco", root, options={"concepts_from": "vesalius"})
    counts: Counter[str] = Counter()
    started = time.perf_counter()
    for split in plain.splits():
        for case, other in zip(plain.cases(split), read.cases(split), strict=True):
            own = set(case.concepts or ()) & set(known.entries)
            given = set(other.concepts or ())
            counts.update(captions=1, own=len(own), given=len(given), both=len(own & given))
            counts["none"] += not given
    n, seconds = counts["captions"], time.perf_counter() - started
    print(
        f"{n} captions in {seconds:.1f} s; {counts['given'] / n:.2f} concepts a caption, none in {counts['none']}"
    )
    print(f"of the {len(known.entries)} concepts of the dictionary, ROCO's own codes: {counts['own']}; read: "
          f"{counts['given']}; both: {counts['both']} (precision {counts['both'] / counts['given']:.3f}, "
          f"recall {counts['both'] / counts['own']:.3f})")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("phantom", "medpix", "captions"))
    parser.add_argument("--root")
    chosen = parser.parse_args()
    if chosen.what == "captions":
        captions(chosen.root)
        return
    data: dict[str, Any] = {"dataset": chosen.what, "root": chosen.root}
    if chosen.what == "medpix":
        data |= {"options": {"concepts_from": "vesalius"}, "leaks": "drop"}
    with tempfile.TemporaryDirectory() as folder:
        measured(data, Path(folder))


if __name__ == "__main__":
    main()
