"""A served run that looks similar cases up for every question, and never the picture's own."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from vesalius import Dialogue, Picture, Prediction, Question, Recipe, Run, Turn
from vesalius.recipe import Decoding
from vesalius.service.engine.model_host import load_host, warm
from vesalius.steps.fit import fit
from vesalius.steps.prepare import dialogues

VLM = {"name": "generative", "tiny": True, "family": "llava", "roles": {}}


def fit_run(folder: Path) -> Run:
    block = {"name": "few_shot", "neighbours": 9, "threshold": -1.0, "members": {"vlm": VLM}}
    content = {
        "name": "served",
        "data": {
            "dataset": "phantom",
            "options": {"cases": {"train": 4, "validation": 0, "test": 0}, "size": 48},
            "splits": {"validation": None},
        },
        "model": block,
    }
    return fit(Recipe.model_validate(content), folder)


def test_an_uploaded_training_picture_is_no_neighbour_of_itself(tmp_path: Path) -> None:
    run = fit_run(tmp_path / "run")
    host = load_host(str(run.path))
    warm(host)
    first = next(dialogues(run.recipe().data, "train"))
    assert first.picture is not None
    upload = Picture("upload-1", partial(bytes, first.picture.read()))  # under no known name
    asked = Dialogue("q", (Turn(Question("what modality is this?"), (upload,)),), "upload-1")
    *texts, last = [
        piece for _, piece in host.pieces([asked], Decoding(max_new_tokens=3), lambda _: False)
    ]
    answer: Any = last
    assert isinstance(answer, Prediction)
    assert "".join(map(str, texts)).strip() == answer.text  # it streams, as its member does
    assert {one.case for one in answer.neighbours}.isdisjoint({first.case})
    # Three others; drawings so small may be near-duplicates of it, and are then left out, too.
    assert answer.notes == {"shots": len(answer.neighbours), "fewer_than_k": 1}
    assert 1 <= len(answer.neighbours) <= 3
    assert (answer.picture, answer.question) == ("upload-1", "what modality is this?")
    few_shot: Any = host.model
    assert few_shot._cases._lookup._known
    host.forget("upload-1")
    assert not [key for key in few_shot._cases._lookup._known if key[1] == "upload-1"]
