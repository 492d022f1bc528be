"""Judges of the field's situations that are told in words: drawn here, small, each in its folder."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from field_deidentified import bars
from field_judges import Bench, Case, fresh, has, last, need, rows_of
from PIL import Image


def draw(path: Path, seed: int) -> Path:
    """A picture of its own: noise in coarse blocks, like none of another seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)
    Image.fromarray(np.kron(blocks, np.ones((8, 8), np.uint8))).save(path)
    return path


def lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# Ids that restart in each split


def restarting(folder: Path) -> Path:
    for at, (split, count) in enumerate([("train", 6), ("test", 3)]):
        rows = [
            {
                "id": str(n + 1),
                "image": draw(folder / f"{split}{n}.png", 100 * at + n).name,
                "question": f"What is in {n % 2}?",
                "answer": "a cyst",
                "patient": f"{split}-{n}",
            }
            for n in range(count)
        ]
        lines(folder / f"{split}.jsonl", rows)
    return folder


def ids_restart(bench: Bench, _: Case) -> str:
    root = restarting(fresh(bench))
    code, said = bench.vesalius("data", "audit", "folder", "--root", root)
    need(code == 0 and "no leaks found" in said, f"audit: {last(said)}")
    out = root.parent / "splits.jsonl"
    code, said = bench.vesalius("data", "split", "folder", "--root", root, "--out", out)
    need(code == 0, f"split: {last(said)}")
    split = len(out.read_text().splitlines())
    need(split == 9, f"9 cases in, {split} out")
    recipe = root.parent / "recipe.yaml"
    recipe.write_text(
        f"name: m\ndata: {{dataset: folder, root: '{root}', leaks: drop, splits: "
        "{validation: null}}\nmodel: {name: majority}\n"
    )
    code, said = bench.vesalius("fit", recipe, "--run", root.parent / "run")
    need(code == 0, f"fit: {last(said)}")
    status = json.loads((root.parent / "run/status.json").read_text())
    need(not status.get("leaks") and not status.get("dropped"), f"dropped: {status}")
    code, said = bench.vesalius("predict", "--run", root.parent / "run")
    answers = len((root.parent / "run/predictions.jsonl").read_text().splitlines())
    need(code == 0 and answers == 3, f"3 cases in test, {answers} answers")
    return "audit without leaks, 9 of 9 split, nothing dropped, 3 answers"


# Scores


def evaluated(bench: Bench, rows: Sequence[Mapping[str, Any]], *metrics: str) -> dict[str, Any]:
    """Overall scores by name, through the command, and what it said under ''."""
    folder = fresh(bench)
    wanted = [word for metric in metrics for word in ("--metric", metric)]
    path = lines(folder / "answers.jsonl", rows)
    save = folder / "scores.json"
    code, said = bench.vesalius("evaluate", path, *wanted, "--save", save)
    need(code == 0, f"exit {code}: {last(said)}")
    scores = json.loads(save.read_text())["scores"]
    return {s["metric"]: s for s in scores if s["slice"] == "all"} | {"": said}


def answered(reply: str, gold: str, n: int = 0, **more: Any) -> dict[str, Any]:
    row = {"id": str(n), "question": "Which?", "kind": "closed", "group": str(n)}
    return row | {"answer": {"text": reply}, "references": [{"text": gold}], **more}


def right_or_not(
    bench: Bench, table: Sequence[tuple[Sequence[str], str, str, int]], metric: str, score: str
) -> str:
    """Each reply by itself: (options, reply, gold, right)."""
    from vesalius.cases.case import Answer
    from vesalius.cases.prediction import Prediction
    from vesalius.evaluation.evaluate import evaluate

    for options, reply, gold, right in table:
        row = Prediction(
            "1",
            Answer(text=reply),
            question="Which?",
            references=(Answer(text=gold),),
            options=tuple(options) or None,
            kind="closed" if options else "open",
        )
        scores = {s.metric: s.value for s in evaluate([row], [metric], resamples=0).overall()}
        need(scores[score] == right, f"{reply!r} for {gold!r} among {options}: {scores[score]}")
    rows = [
        answered(
            reply, gold, n, options=list(options) or None, kind="closed" if options else "open"
        )
        for n, (options, reply, gold, _) in enumerate(table)
    ]
    whole = evaluated(bench, rows, metric)[score]
    mean = sum(right for *_, right in table) / len(table)
    need(math.isclose(whole["value"], mean, abs_tol=1e-9), f"{whole['value']}, not {mean}")
    return f"{len(table)} replies, each as it should be"


LETTERS = ["A", "B", "C", "D"]
OPTIONS = [
    (LETTERS, "It is a mass in the liver", "A", 0),
    (LETTERS, "I can't tell, a bit unclear", "A", 0),
    (LETTERS, "B: a mass", "B", 1),
    (LETTERS, "The answer is B, a mass.", "B", 1),
    (LETTERS, "D. There is a fracture of a rib", "D", 1),
    (LETTERS, "vitamin D deficiency", "D", 0),
    (LETTERS, "hepatitis B", "B", 0),
]
NUMBERS = [
    (["1", "2", "3"], "1.5", "1", 0),
    (["5", "10"], "about 1.5 cm", "5", 0),
    (["2.5 cm", "25 cm"], "2.5 cm", "25 cm", 0),
    (["2.5 cm", "5 cm"], "The nodule measures 2.5 cm.", "2.5 cm", 1),
    (["0", "0.5", "1.0"], "Result: 0.5", "0.5", 1),
]
COUNTED = [
    ([], "1,200", "1200", 1),
    ([], "12.0", "12", 1),
    ([], "2x3", "2 x 3", 1),
    ([], "-30 HU", "30 HU", 0),
]


def options(bench: Bench, _: Case) -> str:
    return right_or_not(bench, OPTIONS, "closed", "closed.accuracy")


def numbers(bench: Bench, _: Case) -> str:
    right_or_not(bench, COUNTED, "content", "content.numbers")
    return right_or_not(bench, NUMBERS, "closed", "closed.accuracy")


WORDS = ["左肺有一个结节", "Узел в левом лёгком", "β"]
OVERLAP = {"rouge": "rouge", "meteor_exact_stem": "meteor", "tolerant": "tolerant", "bleu": "bleu"}


def scripts(bench: Bench, _: Case) -> str:
    """Equal answers: 1 or not measured, alone and beside English ones; and what is not is told."""
    english = [answered(f"a nodule in lobe {n}", f"a nodule in lobe {n}", 9 + n) for n in range(3)]
    seen = []
    for extra in ([], english):
        rows = [answered(word, word, n, kind="open") for n, word in enumerate(WORDS)] + extra
        scores = evaluated(bench, rows, *OVERLAP)
        said = scores.pop("")
        for name, score in scores.items():
            value = score["value"]
            top = 100 if name.startswith("bleu") and value and value > 1 else 1
            measured = value is not None and not math.isnan(value)
            need(not measured or value > 0.9 * top, f"{name} {value} for equal answers")
            if measured and extra:
                continue
            seen.append(f"{name} {value}")
        has(said, r"not measured")
    return "; ".join(sorted(set(seen))[:6])


def intervals(bench: Bench, _: Case) -> str:
    rows = [answered(word, word, n) for n, word in enumerate(["yes", "no", "yes", "no"])]
    scores = evaluated(bench, rows, "closed", "squad", "cider_d")
    for name in ("closed.accuracy", "closed.balanced_accuracy", "squad.majority_em"):
        low, high = scores[name]["low"], scores[name]["high"]
        need(high - low > 0.2, f"{name} [{low}, {high}]")
    wide = scores["cider_d"]
    need(wide["high"] <= 10 and wide["low"] == wide["value"] == wide["high"], f"CIDEr-D {wide}")
    return "; ".join(
        f"{n} [{scores[n]['low']:.3f}, {scores[n]['high']:.3f}]"
        for n in ("closed.accuracy", "closed.balanced_accuracy", "squad.majority_em")
    )


# Rows


def talks(folder: Path, turns: Sequence[tuple[str, str]]) -> Path:
    said = [{"from": speaker, "value": words} for speaker, words in turns]
    rows = [
        {"id": str(n), "image": draw(folder / f"{n}.png", n).name, "conversations": said}
        for n in range(4)
    ]
    (folder / "talks.json").write_text(json.dumps(rows))
    return folder / "talks.json"


SYSTEM = "You are a careful radiologist from Xanthe."


def system_turns(bench: Bench, _: Case) -> str:
    """What the system turn says stands in the prompt of the rows, or the row is refused."""
    folder = fresh(bench)
    table = talks(folder, [("system", SYSTEM), ("human", "<image>\nside?"), ("gpt", "left")])
    code, said = bench.vesalius("data", "import", table, folder.parent / "set")
    if code == 2:
        has(said, "row 1", "system")
        return last(said)
    need(code == 0, f"exit {code}: {last(said)}")
    need(all(SYSTEM in json.dumps(row) for row in rows_of(folder.parent / "set")), "lost on import")
    recipe = folder.parent / "recipe.yaml"
    recipe.write_text(
        f"name: s\ndata: {{dataset: folder, root: '{folder.parent / 'set'}', leaks: allow, "
        "splits: {validation: null}}\n"
        "model: {name: generative, family: llava, tiny: true}\n"
    )
    code, said = bench.vesalius("fit", recipe, "--show-mask")
    if code == 2:
        has(said, "system")
        return last(said)
    need("careful radiologist" in re.sub(r"\s+", " ", said), f"not in the prompt: {last(said)}")
    return "in the imported set and in the row that is trained on"


def marks(bench: Bench, _: Case) -> str:
    folder = fresh(bench)
    table = talks(folder, [("human", "<image>\n<image>\nside?"), ("gpt", "left")])
    code, said = bench.vesalius("data", "import", table, folder.parent / "set")
    need(code == 2, f"exit {code}")
    has(said, "row 1", r"2 <image>", r"1 pictures?")
    return last(said)


# Fitting


def drawn_set(folder: Path, both: Sequence[bool]) -> Path:
    """Questions, each with two pictures where ``both`` says so, in three splits."""
    for at, split in enumerate(("train", "validation", "test")):
        rows = []
        for n, two in enumerate(both):
            files = [folder / f"{split}{n}{k}.png" for k in range(1 + two)]
            names = [draw(f, 97 * at + 10 * n + k).name for k, f in enumerate(files)]
            row = {"id": f"{split}{n}", "images": names, "question": "side?", "answer": "left"}
            rows.append(row)
        lines(folder / f"{split}.jsonl", rows)
    return folder


def several_pictures(family: str) -> Any:
    """All rows with two pictures, and one row of two: each fits, or is refused before a run is."""

    def judge(bench: Bench, _: Case) -> str:
        seen = []
        for both in ([True, True], [True, False]):
            root = drawn_set(fresh(bench), both)
            recipe, run = root.parent / "recipe.yaml", root.parent / "run"
            recipe.write_text(
                f"name: p\ndata: {{dataset: folder, root: '{root}', leaks: allow}}\n"
                f"model: {{name: generative, family: {family}, tiny: true, training: "
                "{max_steps: 1, batch: 2}}\ndecoding: {max_new_tokens: 4}\n"
            )
            code, said = bench.vesalius("fit", recipe, "--run", run)
            need(code in (0, 2), f"exit {code}: {last(said)}")
            if not all(both):
                dry, _ = bench.vesalius("fit", recipe, "--dry-run")
                need(dry == code, f"--dry-run exits {dry}, fit {code}")
            if code == 2:
                need(not run.exists(), "refused after the run's folder was made")
                has(said, "picture")
            else:
                code, said = bench.vesalius("predict", "--run", run)
                need(code == 0, f"predict: {last(said)}")
                said = (
                    f"fitted, {len((run / 'predictions.jsonl').read_text().splitlines())} answers"
                )
            seen.append(last(said))
        return seen[-1]

    return judge


def more_epochs(bench: Bench, _: Case) -> str:
    """The refusal names the keys that differ, and how a finished run is gone on from."""
    folder = fresh(bench)
    recipe, run = folder / "recipe.yaml", folder / "run"
    recipe.write_text(
        "name: e\ndata: {dataset: phantom, options: {cases: {train: 4, validation: 2, test: 2}, "
        "size: 48}, leaks: allow}\nmodel: {name: generative, family: llava, tiny: true, training: "
        "{max_steps: 1, batch: 2}}\n"
    )
    code, said = bench.vesalius("fit", recipe, "--run", run)
    need(code == 0, f"exit {code}: {last(said)}")
    change = ("--set", "model.training.max_steps=2")
    code, said = bench.vesalius("fit", recipe, "--run", run, *change)
    need(code == 2, f"exit {code}")
    has(said, r"model\.training\.max_steps", r"model\.start|start")
    return last(said)


def four_bit_export(bench: Bench, _: Case) -> str:
    """Three things told apart and counted: the run as scored, base and adapter in full, merged."""
    folder = fresh(bench)
    recipe, run = folder / "recipe.yaml", folder / "run"
    recipe.write_text(
        "name: q\ndata: {dataset: phantom, options: {cases: {train: 6, validation: 2, test: 3}, "
        "size: 48}, leaks: allow}\nmodel: {name: generative, family: llava, tiny: true, "
        "quantization: nf4, training: {max_steps: 3, batch: 2, learning_rate: 1.0e-2}}\n"
        "decoding: {max_new_tokens: 6}\nevaluation: {resamples: 50, metrics: [squad]}\n"
    )
    for words in (("fit", recipe, "--run", run), ("predict", "--run", run), ("evaluate", run)):
        code, said = bench.vesalius(*words)
        need(code == 0, f"{words[0]}: {last(said)}")
    code, said = bench.vesalius("export", run, "--out", folder / "out")
    need(code == 0, f"export: {last(said)}")
    card = (folder / "out/README.md").read_text()
    has(card, r"4[ -]bits?|nf4", r"scores? .*(nf4|4[ -]bit)|(nf4|4[ -]bit).*scores?")
    counted = {
        what: int(re.search(rf"{what} (\d+)", said.replace("\n", " ") + card)[1])  # type: ignore[index]
        for what in ("the run asked again", "base and adapter in fp32", "merged in fp32")
    }
    code, said = bench.vesalius("predict", "--run", run, "--quantization", "none")
    need(code == 0, f"predict: {last(said)}")
    (plain,) = (path for path in run.glob("predictions-*.jsonl"))
    scored, again = (
        [json.loads(one)["answer"] for one in path.read_text().splitlines()][:16]  # export's check
        for path in (run / "predictions.jsonl", plain)
    )
    equal = sum(map(operator.eq, scored, again))
    need(counted["the run asked again"] == len(scored), str(counted))
    need(counted["base and adapter in fp32"] == equal, f"{counted}, {equal} counted here")
    return f"{counted}"


SITUATIONS: tuple[tuple[str, str, Any], ...] = (
    ("ids-restart", "joining by id without the split", ids_restart),
    ("export-4bit", "an export verified against another model", four_bit_export),
    ("option-a", "letters and words of options found anywhere", options),
    ("option-numbers", "numbers cut at the point", numbers),
    ("system-turn", "what a row says and nothing reads", system_turns),
    ("scripts", "words that a metric cannot read", scripts),
    ("marks", "marks and pictures", marks),
    ("paligemma-two", "several pictures die in the first step", several_pictures("paligemma")),
    ("blip2-t5-two", "several pictures die in the first step", several_pictures("blip2_t5")),
    ("intervals", "intervals of no width", intervals),
    ("more-epochs", "a refusal that names no way on", more_epochs),
    ("label-bars", "objects that show identity pass without a word", bars),
)
