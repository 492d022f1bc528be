from __future__ import annotations

import json
from collections import defaultdict

import pytest
import torch

from vesalius.errors import ModelError, RecipeError, RunError
from vesalius.models import Lesson
from vesalius.models.build import build
from vesalius.models.linear_head import Features, Head
from vesalius.recipe import Decoding

QUICK = {"name": "linear_probe", "epochs": 30, "batch": 24, "learning_rate": 1e-2, "rank": 16}


def said(predictions):
    return [(p.text, round(p.confidence.value, 5)) for p in predictions]


@pytest.fixture(scope="module")
def quick():
    return build(QUICK)


@pytest.fixture
def fitted(quick, shapes, new_run):
    run = new_run(**QUICK)
    quick.fit(Lesson(shapes[:16], shapes[16:20]), run)
    return run


def test_it_reads_the_image_and_answers_unseen_pictures(quick, fitted, shapes) -> None:
    model, unseen = quick.load(fitted), shapes[20:]
    predictions = model.predict(unseen, Decoding())
    assert [p.text for p in predictions] == [d.question.answers[0].text for d in unseen]
    assert {p.confidence.method for p in predictions} == {"softmax probability"}
    best = predictions[0]
    assert next(iter(best.scores)) == best.text
    assert best.scores[best.text] == best.confidence.value == max(best.scores.values())
    assert sum(best.scores.values()) == pytest.approx(1, abs=1e-5)  # four labels: all are shown
    assert model.predict([], Decoding()) == []


def test_labels_are_the_training_answers_alone(quick, shapes, ask, new_run) -> None:
    run = new_run(**QUICK)
    only_there = ask("what shape is seen?", "a pyramid", shapes[0].pictures[0])
    quick.fit(Lesson(shapes[:8], [only_there]), run)
    assert json.loads((run.weights / "labels.json").read_text()) == ["bar", "disc", "no", "yes"]
    curve = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert {line["validation_accuracy"] for line in curve} == {0.0}
    assert len(curve) == 1 + 10  # the first epoch, then ten without a better one


def test_same_seed_same_model_and_files(quick, fitted, shapes, new_run) -> None:
    again, other = new_run(**QUICK), new_run(seed=1, **QUICK)
    state = torch.random.get_rng_state()
    quick.fit(Lesson(shapes[:16], shapes[16:20]), again)
    assert torch.equal(state, torch.random.get_rng_state())  # the caller's generator is untouched
    quick.fit(Lesson(shapes[:16], shapes[16:20]), other)
    one, two, three = (
        (run.weights / "linear_probe.safetensors").read_bytes() for run in (fitted, again, other)
    )
    assert one == two != three
    assert fitted.log.read_text() == again.log.read_text()


def test_loading_gives_the_same_predictions_again(quick, fitted, shapes) -> None:
    one = quick.load(fitted).predict(shapes[:6], Decoding())
    two = build(QUICK).load(fitted).predict(shapes[:6], Decoding(batch=1))
    assert said(one) == said(two)


def test_no_validation_runs_every_epoch(shapes, new_run) -> None:
    run, learner = new_run(**QUICK), build(QUICK | {"epochs": 3, "interactions": False})
    learner.fit(Lesson(shapes[:8]), run)
    assert [set(json.loads(line)) for line in run.log.read_text().splitlines()] == [
        {"step", "loss"}
    ] * 3
    assert len(learner.load(run).predict(shapes[:2], Decoding())) == 2


def test_a_missing_picture_is_named_before_any_work(quick, fitted, shapes, ask, new_run) -> None:
    with pytest.raises(ModelError, match="blind"):
        quick.fit(Lesson([*shapes[:2], ask("what?", "bar", case="blind")]), new_run(**QUICK))
    with pytest.raises(ModelError, match="blind"):
        quick.load(fitted).predict([shapes[0], ask("what?", case="blind")], Decoding())


def test_files_that_do_not_belong_together_are_refused(quick, fitted) -> None:
    labels, weights = fitted.weights / "labels.json", fitted.weights / "linear_probe.safetensors"
    labels.write_text('["one"]')
    with pytest.raises(RunError, match=r"linear_probe\.safetensors"):
        quick.load(fitted)
    weights.write_bytes(b"torn")
    with pytest.raises(RunError, match=r"linear_probe\.safetensors"):
        quick.load(fitted)
    labels.unlink()
    with pytest.raises(RunError, match=r"labels\.json"):
        quick.load(fitted)


@pytest.mark.parametrize("bad", [{"rank": 0}, {"dropout": 1.0}, {"epoch": 3}, {"learning_rate": 0}])
def test_impossible_settings_are_refused(bad) -> None:
    with pytest.raises(RecipeError):
        build(QUICK | bad)


def test_only_the_product_lets_the_question_turn_the_image() -> None:
    # Label = image bit xor question bit: no sum of the two can tell, a product can.
    rows = torch.tensor([[i, q] for i in (0, 1) for q in (0, 1)])
    labels = torch.tensor([i ^ q for i, q in rows.tolist()])
    features = Features(torch.eye(2), torch.eye(2), rows, labels)
    reached = {}
    for rank in (0, 4):
        torch.manual_seed(0)
        head = Head(2, 2, 2, rank=rank, dropout=0.0)
        head.standardise(features.images, features.questions)
        optimiser = torch.optim.AdamW(head.parameters(), lr=0.05)
        for _ in range(100):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(
                features.logits(head, torch.arange(4)), labels
            ).backward()
            optimiser.step()
        reached[rank] = features.score(head)
    assert reached[4] == 1.0
    assert reached[0] < 1.0


def test_a_blind_one_answers_from_the_question_alone(shapes, new_run) -> None:
    settings = QUICK | {"blind": True}
    run, blind = new_run(**settings), build(settings)
    assert not blind.needs_image
    blind.fit(Lesson(shapes[:16], shapes[16:20]), run)
    model = blind.load(run)
    assert not model.needs_image
    answers = defaultdict(set)
    for dialogue, prediction in zip(shapes, model.predict(shapes, Decoding()), strict=True):
        answers[dialogue.question.text].update(said([prediction]))
    assert len({dialogue.pictures for dialogue in shapes}) > 2 * len(answers)
    assert all(len(same) == 1 for same in answers.values())  # of any picture the same
