"""Questions become dialogues: upgrade a set, fit a baseline, answer under three histories, compare.

Run it with ``python examples/dialogues.py [folder]``. The set is drawn and the baseline counts
answers: put your own VQA set in the place of ``phantom`` and a model that looks in that of
``majority``.
"""

import sys
from pathlib import Path

import vesalius
from vesalius.data.dialogues import to_dialogues
from vesalius.data.visual_dialogue.files import write_dialogues
from vesalius.evaluation.histories import HISTORIES, histories_of

DRAWN = {"cases": {"train": 60, "validation": 0, "test": 20}, "size": 64}


def main(folder: Path) -> None:
    result = write_dialogues(vesalius.open_dataset("phantom", options=DRAWN), folder / "dialogues")
    print(f"dialogues: {dict(result.cases)}, turns: {dict(result.turns)}")
    print(f"dropped: {dict(result.dropped) or 'nothing'}")

    case = next(vesalius.open_dataset("folder", result.root).cases("test"))
    (talk,) = to_dialogues(case, "dialogue")
    for turn in talk.turns:
        print(f"  {turn.question.text}  {turn.question.answers[0].text}")

    recipe = vesalius.Recipe.model_validate(
        {
            "name": "dialogues",
            "data": {
                "dataset": "folder",
                "root": str(result.root),
                "task": "dialogue",
                "splits": {"validation": None},
                "leaks": "allow",
            },
            "model": {"name": "majority"},
            "evaluation": {"metrics": ["squad", "closed"], "resamples": 500},
        }
    )
    run = vesalius.fit(recipe, folder / "run")
    for history in HISTORIES:
        vesalius.predict(run, history=history)
    histories = histories_of(run)
    for history, scores in histories.turns.scores.items():
        print(f"{history}: exact match {scores.score('squad.em')}")
    print(f"own minus gold: {histories.turns.gaps['own'].overall()[0]}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/dialogues"))
