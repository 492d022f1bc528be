"""ViLT: what it learns, what it refuses, and the mistakes that published code makes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from vesalius import Dialogue, Recipe, Run
from vesalius.cases.case import Answer
from vesalius.cases.picture import Picture
from vesalius.errors import ModelError, RecipeError, RunError
from vesalius.models import Lesson
from vesalius.models.build import build
from vesalius.recipe import Decoding
from vesalius.steps.fit import fit
from vesalius.system.files import read_lines
from vesalius.training import loop

TINY: dict[str, Any] = {"name": "vilt", "tiny": True}
MODEL = "model/model.safetensors"


def block(**training: Any) -> dict[str, Any]:
    quick = {"learning_rate": 1e-3, "batch": 8, "max_steps": 4}
    return TINY | {"training": quick | training}


def fitted(run: Run, train: list[Dialogue], validation: list[Dialogue] = []) -> Run:  # noqa: B006
    build(run.recipe().model).fit(Lesson(train, validation), run)
    return run


def column(run: Run, name: str) -> list[float]:
    return [float(row[name]) for _, row in read_lines(run.log) if name in row]


def blank(width: int, height: int) -> Picture:
    file = BytesIO()
    Image.new("RGB", (width, height), (90, 0, 200)).save(file, "PNG")
    return Picture(f"{width}x{height}", file.getvalue)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, shapes: list[Dialogue]) -> Run:
    """A run of a few steps."""
    folder = tmp_path_factory.mktemp("vilt") / "run"
    data = {"dataset": "none"}
    run = Run.create(folder, Recipe.model_validate({"name": "v", "data": data, "model": block()}))
    return fitted(run, shapes[:16], shapes[16:20])


@pytest.fixture
def released(kept: Run, tmp_path: Path) -> Path:
    """The run's network and processor in one folder, as weights are released."""
    folder = tmp_path / "released"
    shutil.copytree(kept.weights / "model", folder)
    shutil.copytree(kept.weights / "processor", folder, dirs_exist_ok=True)
    return folder


def from_folder(folder: Path, **more: Any) -> dict[str, Any]:
    return {"name": "vilt", "weights": str(folder), "training": {"max_steps": 1}, **more}


def test_it_learns_what_the_picture_shows(shapes: list[Dialogue], new_run) -> None:
    run, unseen = new_run(**block(max_steps=80, learning_rate=2e-3)), shapes[8:16]
    model = build(run.recipe().model).load(fitted(run, shapes[:8] + shapes[16:]))
    said = model.predict(unseen, Decoding())
    assert [p.text for p in said] == [d.question.answers[0].text for d in unseen]
    assert {p.confidence.method for p in said} == {"softmax probability"}
    best = said[0]
    assert next(iter(best.scores)) == best.text
    assert best.scores[best.text] == best.confidence.value == max(best.scores.values())
    assert sum(best.scores.values()) == pytest.approx(1)  # four labels: all are shown


def test_trap_label_space_from_test_answers(shapes, ask, new_run, kept) -> None:
    only_there = ask("what shape is seen?", "a pyramid", shapes[0].pictures[0])
    run = fitted(new_run(**block()), shapes[:16], [*shapes[16:19], only_there])
    config = json.loads((run.weights / "model/config.json").read_text())
    assert list(config["id2label"].values()) == ["bar", "disc", "no", "yes"]
    assert config["label2id"] == {"bar": 0, "disc": 1, "no": 2, "yes": 3}
    assert run.status()["labels"] == 4
    assert run.status()["unknown_validation_answer_rate"] == 1 / 4
    assert kept.status()["unknown_validation_answer_rate"] == 0
    # what evaluation needs: the unknown reference stands in the row, with no probability
    scores = build(TINY).load(run).predict([only_there], Decoding())[0].scores
    assert scores["a pyramid"] == 0.0
    assert all(share > 0 for label, share in scores.items() if label != "a pyramid")


def test_trap_padding_not_masked(kept: Run, shapes: list[Dialogue]) -> None:
    model = build(TINY).load(kept)
    pictures = [shapes[0].pictures[0], blank(40, 120), blank(90, 90)]
    questions = ["is there a disc?", "what?", "what shape is seen? is there a disc?"]
    inputs = model.reader.inputs(pictures, questions)
    filled = {name: tensor.clone() for name, tensor in inputs.items()}
    filled["input_ids"][inputs["attention_mask"] == 0] = 7
    hidden = (inputs["pixel_mask"] == 0)[:, None].expand_as(filled["pixel_values"])
    filled["pixel_values"][hidden] = 5.0
    bare = filled | {
        name: torch.ones_like(inputs[name]) for name in ("attention_mask", "pixel_mask")
    }
    with torch.inference_mode():
        clean, noisy, unmasked = (model.network(**i).logits for i in (inputs, filled, bare))
    assert hidden.any()
    assert (inputs["attention_mask"] == 0).any()
    assert torch.allclose(clean, noisy, atol=1e-5)
    assert not torch.allclose(clean, unmasked, atol=1e-2)


def test_trap_best_epoch_chosen_on_the_test_split(tmp_path: Path) -> None:
    data = {"dataset": "phantom", "splits": {"validation": "test"}}
    recipe = Recipe.model_validate({"name": "v", "data": data, "model": block()})
    with pytest.raises(RecipeError, match="may not train or choose"):
        fit(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_is_answered_as_one_by_one(kept: Run, shapes: list[Dialogue], ask) -> None:
    model = build(TINY).load(kept)
    asked = [
        *shapes[:5],
        ask("what?", "disc", blank(30, 100)),
        ask("is there a disc? is there a disc?", None, blank(100, 30)),
    ]
    state = torch.random.get_rng_state()
    together = model.predict(asked, Decoding(batch=7))
    alone = [model.predict([dialogue], Decoding())[0] for dialogue in asked]
    assert [p.text for p in together] == [p.text for p in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)
    assert model.predict(asked, Decoding(batch=7)) == together  # to the last bit
    assert torch.equal(state, torch.random.get_rng_state())
    assert model.predict([], Decoding()) == []


def test_same_seed_same_weights(kept: Run, shapes: list[Dialogue], new_run) -> None:
    again = fitted(new_run(**block()), shapes[:16])
    other = fitted(new_run(seed=1, **block()), shapes[:16])
    one, two, three = ((run.weights / MODEL).read_bytes() for run in (kept, again, other))
    assert one == two != three
    assert column(kept, "loss") == column(again, "loss")


def test_a_stopped_run_goes_on_to_the_same_end(kept, shapes, new_run, monkeypatch) -> None:
    run = new_run(**block(checkpoint_steps=2))

    def stop(self: object, args: object, state: Any, control: object, **_: object) -> None:
        if state.global_step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop.Marker, "on_step_end", stop, raising=False)
        with pytest.raises(KeyboardInterrupt):
            fitted(run, shapes[:16])
    fitted(run, shapes[:16])
    assert (run.weights / MODEL).read_bytes() == (kept.weights / MODEL).read_bytes()
    assert column(run, "loss") == column(kept, "loss")
    assert (run.path / "checkpoints").exists()  # they go when the run is marked as fitted


@pytest.mark.parametrize("soft", [False, True])
def test_accumulated_batches_weigh_by_their_questions(soft: bool, shapes, new_run) -> None:
    # 7 questions: steps of 4 and 3, dealt at once or as 2 + 2 and 2 + 1. In bf16, where the machine
    # is fast at it, sums would be rounded.
    exact = {"soft_targets": soft, "precision": "fp32"}
    whole, dealt = (
        fitted(new_run(**block(**dealing, max_steps=4, learning_rate=1e-4), **exact), shapes[:7])
        for dealing in ({"batch": 4}, {"batch": 2, "accumulate": 2})
    )
    for name in ("loss", "grad_norm"):
        assert column(whole, name) == pytest.approx(column(dealt, name), rel=1e-4)


def test_soft_targets_teach_every_reference(shapes: list[Dialogue], new_run) -> None:
    def also(dialogue: Dialogue) -> Dialogue:
        turn = dialogue.turns[0]
        more = (*turn.question.answers, Answer(text="a shape"))
        return replace(
            dialogue, turns=(replace(turn, question=replace(turn.question, answers=more)),)
        )

    taught = [also(dialogue) for dialogue in shapes[:8]]
    hard, soft = new_run(**block()), new_run(**block(max_steps=40), soft_targets=True)
    fitted(hard, taught)
    assert "a shape" not in build(TINY).load(hard).labels.names  # only first references are taught
    model = build(soft.recipe().model).load(fitted(soft, taught))
    said = model.predict(taught[:2], Decoding())
    assert {p.confidence.method for p in said} == {"sigmoid probability"}
    assert {p.text for p in said} == {"a shape"}  # the one answer that every question has


def test_a_question_too_long_is_refused_before_training(shapes, ask, new_run, kept) -> None:
    # forty tokens fit: 38 words between [CLS] and [SEP]
    fits, long = (ask("disc " * n, "yes", shapes[0].pictures[0], case=f"{n}") for n in (38, 39))
    run = new_run(**block())
    with pytest.raises(ModelError, match=r"^39/.*41 tokens.*40.*truncate"):
        fitted(run, shapes[:4], [fits, long])
    assert not run.log.exists()
    with pytest.raises(ModelError, match=r"^39/.*41 tokens"):
        build(TINY).load(kept).predict([fits, long], Decoding())
    cut = build(TINY | {"truncate": True}).load(kept)
    one, other = cut.predict([fits, long], Decoding())
    assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_the_plan_says_what_the_fit_does(kept: Run, shapes: list[Dialogue]) -> None:
    learner = build(block())
    planned = learner.plan(shapes[:16], 0, shapes[16:20])
    assert planned == {
        "questions": 16,
        "steps": 4,
        "parameters": kept.status()["parameters"],
        "labels": 4,
        "unknown_validation_answer_rate": 0.0,
    }
    assert kept.status()["steps"] == 4
    with pytest.raises(ModelError, match="no tokens"):
        learner.mask(shapes, 0)


def test_the_published_settings_are_the_defaults() -> None:
    training = build(TINY).settings.training
    assert (training.learning_rate, training.epochs, training.batch) == (2e-5, 3, 64)


def test_released_weights_are_where_training_starts(released: Path, shapes, new_run) -> None:
    old = load_file(released / "model.safetensors")
    run = fitted(new_run(**from_folder(released)), shapes[:16])
    assert run.status()["weights"] == "pretrained"
    # one step of AdamW at 2e-5 moves a weight by 2e-5, give or take
    new = load_file(run.weights / MODEL)
    assert all(torch.allclose(new[name], was, atol=3e-5) for name, was in old.items())
    assert any(not torch.equal(new[name], was) for name, was in old.items())
    (released / "model.safetensors").rename(released / "pytorch_model.bin")
    run = new_run(**from_folder(released))
    with pytest.raises(ModelError, match="safetensors"):
        fitted(run, shapes[:16])
    assert not run.log.exists()


def test_training_answers_that_teach_nothing_are_refused(shapes, ask, new_run) -> None:
    picture = shapes[0].pictures[0]
    with pytest.raises(ModelError, match=r"^case/what\?: has an empty reference"):
        fitted(new_run(**block()), [*shapes[:2], ask("what?", "  ", picture)])
    with pytest.raises(ModelError, match=r"but 'Yes'.*needs two"):
        fitted(new_run(**block()), [ask("is it?", "yes", picture), ask("so?", "Yes", picture)])


@pytest.mark.parametrize(
    "bad",
    [
        {"tiny": False},
        {"weights": "some/where"},
        {"tiny": False, "weights": "some/where", "sizes": {"hidden_size": 32}},
        {"sizes": {"image_size": 50, "patch_size": 16}},
        {"sizes": {"hidden_size": 50, "num_attention_heads": 4}},
        {"labels": ["yes"]},
    ],
)
def test_impossible_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        build(TINY | bad)


def test_a_run_whose_files_changed_is_refused(kept: Run, tmp_path: Path) -> None:
    copy = Run(tmp_path / "copy")
    shutil.copytree(kept.path, copy.path)
    config = copy.weights / "model/config.json"
    config.write_text(config.read_text().replace('"disc"', '"cyst"'))
    with pytest.raises(ModelError, match=r"config\.json is not what was saved"):
        build(TINY).load(copy)
    shutil.rmtree(copy.weights)
    with pytest.raises(RunError, match="holds no fitted model"):
        build(TINY).load(copy)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"device": "cuda"}, ModelError),
        ({"precision": "fp16"}, RecipeError),
        ({"training": {"patience": 2}}, RecipeError),
    ],
)
def test_what_cannot_be_had_here_is_refused_before_data_are_read(more, error, tmp_path) -> None:
    recipe = {"name": "v", "data": {"dataset": "none there"}, "model": TINY | more}
    with pytest.raises(error, match=r"CUDA|nothing is validated"):
        fit(Recipe.model_validate(recipe), tmp_path / "run")
