"""What every model of the registry keeps: fit, load, predict, refuse; on phantoms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat_server import Server
from vesalius import Answer, Dialogue, Prediction, Recipe, Run
from vesalius.cases.case import Question
from vesalius.cases.dialogue import Turn
from vesalius.cases.prediction import Confidence
from vesalius.errors import ModelError, RunError
from vesalius.models import Lesson, models
from vesalius.models.build import build
from vesalius.recipe import Data, Decoding
from vesalius.service.engine.model_host import load_host
from vesalius.steps import ready
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.plan import plan
from vesalius.steps.predict import predict
from vesalius.steps.prepare import dialogues
from vesalius.system.files import append_lines

SMALL = {
    "vision_sizes": {"image_size": 32, "hidden_size": 32, "num_attention_heads": 2},
    "language_sizes": {
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "training": {"max_steps": 2, "batch": 2},
}
DETECTING = {
    "model": {
        "name": "nanodet",
        "size": "tiny",
        "image_size": 64,
        "training": {"max_steps": 2, "batch": 2},
    },
    "data": {"task": "detect"},
}
BLOCKS: dict[str, dict[str, Any]] = {
    "box_answers": {"labels": ["nodule"], "members": {"detector": DETECTING}},
    "box_hints": {"members": {"detector": DETECTING, "reader": {"name": "majority"}}},
    "composed": {"preset": "nano", **SMALL},
    "concept_ensemble": {
        "members": {"near": {"name": "concept_neighbours"}, "tags": {"name": "tagger"}}
    },
    "concept_neighbours": {},
    "consensus": {"members": {"often": {"name": "majority"}, "near": {"name": "nearest"}}},
    "evidence": {"members": {"often": {"name": "majority"}}, "threshold": -1.0},
    "detr": {"size": "tiny", "training": {"max_steps": 2, "batch": 2}},
    "endpoint": {"model": "echo"},
    "few_shot": {
        "members": {"vlm": {"name": "generative", "tiny": True, "family": "llava", "roles": {}}},
        "threshold": -1.0,
        "pictures": "none",
    },
    "fuser": {
        "tiny": True,
        "kind": "seq2seq",
        "method": "boost",  # so the recipe needs no folds
        "members": {"often": {"name": "majority"}, "near": {"name": "nearest"}},
    },
    "generative": {"tiny": True, "family": "llava", "training": {"max_steps": 2, "batch": 2}},
    "guided": {
        "members": {
            "draft": {"name": "composed", "preset": "nano", **SMALL},
            "concepts": {
                "model": {"name": "tagger", "head_epochs": 2},
                "data": {"task": "concepts"},
            },
        }
    },
    "linear_probe": {"epochs": 2},
    "majority": {},
    "nanodet": {"size": "tiny", "image_size": 64, "training": {"max_steps": 2, "batch": 2}},
    "nearest": {},
    "replay": {},
    "reranked": {
        "beams": 2,
        "image_text": {"epochs": 2, "dimension": 8},
        "members": {"draft": {"name": "composed", "preset": "nano", **SMALL}},
    },
    "synthesizer": {
        "members": {
            "draft": {"name": "nearest"},
            "writer": {"name": "text", "tiny": True, "kind": "causal", "roles": {}},
        },
        "threshold": -1.0,
    },
    "tagger": {"head_epochs": 2},
    "text": {"tiny": True, "kind": "seq2seq", "training": {"max_steps": 2, "batch": 2}},
    "trained_synthesizer": {
        "members": {"draft": {"name": "majority"}},
        "tiny": True,
        "kind": "seq2seq",
        "training": {"max_steps": 2, "batch": 2},
        "threshold": -1.0,
    },
    "vilt": {"tiny": True, "training": {"max_steps": 2, "batch": 2}},
    "yolo": {"tiny": True, "image_size": 64, "training": {"max_steps": 2, "batch": 2}},
}


DATA = {
    "dataset": "phantom",
    "options": {"cases": {"train": 6, "validation": 2, "test": 3}, "size": 48},
}
TASKS = {
    **dict.fromkeys(("concept_ensemble", "concept_neighbours", "tagger"), "concepts"),
    **dict.fromkeys(("guided", "reranked"), "caption"),
    **dict.fromkeys(("detr", "nanodet", "yolo"), "detect"),
}
"""What an entry answers, where that is no question in words."""
ASKED_OF_BOXES = ("box_answers", "box_hints")
FOLDS = {"trained_synthesizer": 2}
"""Of entries that learn from their members' answers."""


def data(name: str) -> dict[str, Any]:
    own = {"box_questions": {"labels": ["nodule"]}} if name in ASKED_OF_BOXES else {}
    options = {**DATA["options"], **own}
    return {**DATA, "options": options, "task": TASKS.get(name, "vqa")}


def recipe(name: str) -> Recipe:
    return Recipe.model_validate(
        {
            "name": name,
            "data": data(name),
            "model": {"name": name, **BLOCKS[name]},
            "decoding": {"max_new_tokens": 4},
            "folds": FOLDS.get(name),
        }
    )


@pytest.fixture(scope="module", autouse=True)
def saved(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("saved") / "predictions.jsonl"
    sure = Confidence(0.5, "half")
    said = dialogues(Data.model_validate(DATA), "test")
    rows = [Prediction.of(d, Answer(f"answer to {d.id}"), confidence=sure) for d in said]
    append_lines(path, (row.to_row() for row in rows))
    BLOCKS["replay"]["predictions"] = str(path)


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    server = Server()
    BLOCKS["endpoint"]["base_url"] = server.url
    yield
    server.close()


@pytest.fixture(scope="module")
def runs(saved: None, server: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: fit(recipe(name), folder / name) for name in BLOCKS}


def asked(name: str) -> list[Dialogue]:
    return list(dialogues(recipe(name).data, "test"))


def test_every_entry_has_a_block_here() -> None:
    assert set(models) == set(BLOCKS)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_that_names_every_default_is_valid_again(name: str) -> None:
    """A run keeps its recipe so, and is loaded by it."""
    settings = models[name].Settings
    block = {key: value for key, value in BLOCKS[name].items() if key != "members"}
    blocks = [block]
    if {"weights", "tiny"} <= set(settings.model_fields):  # the other form: from weights
        blocks.append({"weights": "someone/theirs"})
    for one in blocks:
        whole = settings.model_validate(one)
        assert settings.model_validate(whole.model_dump(mode="json")) == whole


@pytest.mark.parametrize("name", BLOCKS)
def test_a_fitted_model_answers_every_dialogue_in_order(name: str, runs: dict[str, Run]) -> None:
    model, some = load(runs[name]), asked(name)
    said = model.predict(some, recipe(name).decoding)
    assert [p.id for p in said] == [d.id for d in some]
    for prediction, dialogue in zip(said, some, strict=True):
        assert prediction.references == dialogue.question.answers
        assert prediction.group == dialogue.group
        assert prediction.picture == dialogue.pictures[0].key
        assert prediction.confidence is not None
        assert 0 <= prediction.confidence.value <= 1
        assert prediction.confidence.method
    backwards = model.predict(some[::-1], recipe(name).decoding)
    assert [p.text for p in backwards] == [p.text for p in said][::-1]


@pytest.mark.parametrize("name", BLOCKS)
def test_the_step_writes_what_the_model_answers(name: str, runs: dict[str, Run]) -> None:
    # Protocols are checked by attribute: an entry's data must not look like one of their methods.
    run, some = runs[name], asked(name)
    assert predict(run) == len(some)
    answers = load(run).predict(some, recipe(name).decoding)
    assert [(p.id, p.text) for p in run.predictions()] == [(p.id, p.text) for p in answers]


@pytest.mark.parametrize("name", sorted(set(BLOCKS) - {"endpoint", "replay"}))
def test_the_service_can_host_it(name: str, runs: dict[str, Run]) -> None:
    host = load_host(str(runs[name].path))
    assert host.about["kind"] == name
    assert host.about["recipe"].startswith(name)
    said = [piece for _, piece in host.pieces(asked(name)[:1], Decoding(), lambda _: False)]
    assert isinstance(said[-1], Prediction)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_missing_picture_is_refused_where_one_is_needed(name: str, runs: dict[str, Run]) -> None:
    model = load(runs[name])
    if not hasattr(models[name], "wraps"):  # a wrapper needs what its members need
        assert model.needs_image == build(recipe(name).model).needs_image
    whole = asked(name)[0]
    turn = whole.turns[0]
    bare = Dialogue("bare", (type(turn)(turn.question),), "g")
    if not model.needs_image:
        assert model.predict([bare], recipe(name).decoding)[0].text
        return
    with pytest.raises(ModelError, match=r"bare.*no picture"):
        model.predict([whole, bare], recipe(name).decoding)


@pytest.mark.parametrize("name", BLOCKS)
def test_fitting_without_pictures_is_refused(name: str, tmp_path: Path) -> None:
    # The worst failure there is: a run that silently trained without images.
    bare = [Dialogue(d.id, (type(d.turns[0])(d.question),), d.group) for d in asked(name)]
    run = Run.create(tmp_path / "run", recipe(name))
    if build(recipe(name).model).needs_image:
        with pytest.raises(ModelError, match="picture"):
            build(recipe(name).model).fit(Lesson(bare, bare), run)


def study(*shown: Dialogue) -> Dialogue:
    turn = shown[-1].turns[-1]
    pictures = tuple(one.pictures[0] for one in shown)
    return Dialogue("study", (type(turn)(turn.question, pictures),), "another group")


@pytest.mark.parametrize("name", sorted(set(BLOCKS) - {"majority", "replay", "endpoint", "text"}))
def test_several_pictures_are_all_looked_at_or_refused(name: str, runs: dict[str, Run]) -> None:
    # Replay and a server see what they are sent; counting and a language model see nothing. A
    # fuser's usage is its language model's, its evidence what members saw.
    first, second, last = {d.pictures[0].key: d for d in asked(name)}.values()
    model, decoding = load(runs[name]), recipe(name).decoding
    studies = [study(first, last), study(second, last), study(last)]
    if hasattr(models[name], "most_pictures"):
        with pytest.raises(ModelError, match="2 pictures"):
            model.predict(studies, decoding)
        return
    one, other, alone = (model.predict([asked_of], decoding)[0] for asked_of in studies)
    # Of words alone: a writer among the members, or a fuser's own.
    writes = name == "fuser" or "writer" in getattr(model, "members", {})
    if one.usage is not None and alone.usage is not None and not writes:
        assert one.usage.image_tokens == 2 * alone.usage.image_tokens > 0
    elif model.needs_image:
        assert (one.confidence, one.evidence) != (other.confidence, other.evidence)


def test_pictures_that_a_model_leaves_out_are_refused_before_a_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = [study(*asked("vilt")[:2])]
    monkeypatch.setattr(ready, "_read", lambda data: (several, []))
    with pytest.raises(ModelError, match=r"study: shows 2 pictures"):
        fit(recipe("vilt"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["linear_probe", "nearest"])
def test_a_mean_of_pictures_is_noted(name: str, tmp_path: Path) -> None:
    pictures = study(*asked(name)[:2]).pictures
    several = [
        Dialogue(text, (Turn(Question("which?", answers=(Answer(text),)), pictures),), text)
        for text in ("ct", "mr")
    ]
    run = Run.create(tmp_path / "run", recipe(name))
    build(recipe(name).model).fit(Lesson(several, []), run)
    noted = run.status()["several_pictures"]
    assert noted == {"questions": 2, "read_as": "the mean of their vectors"}


@pytest.mark.parametrize("name", BLOCKS)
def test_an_unfinished_run_is_not_loaded(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not fitted"):
        load(Run.create(tmp_path / "run", recipe(name)))


def test_a_finished_run_is_returned_as_it_is(runs: dict[str, Run]) -> None:
    before = runs["majority"].status()
    assert fit(recipe("majority"), runs["majority"].path).status() == before


@pytest.mark.parametrize("name", ["composed", "generative"])
def test_the_plan_counts_what_the_fit_does(name: str, runs: dict[str, Run]) -> None:
    planned, status = plan(recipe(name)), runs[name].status()
    assert planned["parts"] == status["parts"]
    assert planned["steps"] == status["steps"] == 2
    assert planned["rows"] == planned["pictures"] == 6
    assert planned["estimated_memory_mb"] > 0
    assert status["peak_memory_mb"] > 0
