"""YOLO from fit to export: off the network, under its licence, in a file of ultralytics."""

from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

pytest.importorskip("ultralytics", reason="the extra yolo is not installed")

from vesalius import Recipe, Run
from vesalius.errors import MissingExtra, ModelError, RecipeError
from vesalius.models.build import build
from vesalius.models.detection import ultralytics_library
from vesalius.steps.export import export
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.predict import predict
from vesalius.steps.prepare import dialogues
from vesalius.steps.tiny import tiny

BLOCK = {"name": "yolo", "tiny": True, "image_size": 96, "training": {"max_steps": 2, "batch": 2}}


def recipe(**model: Any) -> Recipe:
    cases = {"train": 4, "validation": 2, "test": 2}
    return Recipe.model_validate(
        {
            "name": "small",
            "data": {
                "dataset": "phantom",
                "options": {"cases": cases, "size": 96},
                "task": "detect",
                "leaks": "allow",
            },
            "model": {**BLOCK, **model},
            "evaluation": {"metrics": ["detection"], "resamples": 20},
        }
    )


@pytest.fixture(scope="module")
def asked() -> list[object]:
    return []


@pytest.fixture(scope="module")
def run(asked: list[object], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Fitted and asked while a resolver notes who is looked up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *host, **_: asked.append(host) or [])
        fitted = fit(recipe(), tmp_path_factory.mktemp("yolo") / "run")
        predict(fitted)
        return fitted


@pytest.fixture(scope="module")
def exported(run: Run, asked: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *host, **_: asked.append(host) or [])
        return export(run, tmp_path_factory.mktemp("out") / "out", check=2).folder


def test_from_fit_to_export_no_host_is_looked_up(exported: Path, asked: list[object]) -> None:
    assert (exported / "model.pt").exists()
    assert asked == []


def test_run_and_card_say_its_licence_and_no_other_goes(
    run: Run, exported: Path, tmp_path: Path
) -> None:
    assert run.status()["licence"] == "AGPL-3.0"
    card = ModelCard.load(exported / "README.md")
    assert (card.data.license, card.data.library_name) == ("agpl-3.0", "ultralytics")
    assert "only under AGPL-3.0" in card.text
    with pytest.raises(ModelError, match=r"only under agpl-3\.0, not under apache-2\.0"):
        export(run, tmp_path / "out", licence="apache-2.0")
    assert not (tmp_path / "out").exists()


def test_ultralytics_finds_the_same_box_with_the_exported_file(run: Run, exported: Path) -> None:
    (dialogue, *_) = dialogues(run.recipe().data, "test")
    (answer,) = load(run).predict([dialogue], run.recipe().decoding)
    model: Any = sys.modules["ultralytics"].YOLO(exported / "model.pt")
    image = dialogue.pictures[0].pixels()
    (result,) = model.predict(image, imgsz=96, conf=1e-9, verbose=False, device="cpu")
    box, at = (answer.answer.boxes or ())[0], int(result.boxes.conf.argmax())
    corners = (box.x, box.y, box.x + box.width, box.y + box.height)
    assert corners == pytest.approx(result.boxes.xyxy[at].tolist(), abs=1.0)
    assert box.label == result.names[int(result.boxes.cls[at])]


def test_the_exported_folder_starts_another_fit_with_its_classes_by_name(
    exported: Path, caplog: pytest.LogCaptureFixture
) -> None:
    learner: Any = build({**BLOCK, "weights": str(exported)})
    train = list(dialogues(recipe().data, "train"))
    with caplog.at_level(logging.WARNING):
        _, model, facts = learner._prepared(train, [], 0)
    assert facts["weights_classes"].endswith(", ".join(model.classes.names))
    assert "its weights know" in caplog.text


def test_its_licence_is_told_before_it_is_fitted(caplog: pytest.LogCaptureFixture) -> None:
    learner: Any = build(BLOCK)
    with caplog.at_level(logging.WARNING):
        learner.check(validated=False)
    assert "AGPL-3.0" in caplog.text


def test_without_the_package_the_check_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingExtra("ultralytics", "yolo")

    monkeypatch.setattr(ultralytics_library, "library", missing)
    with pytest.raises(MissingExtra, match=r"pip install 'vesalius\[yolo\]'"):
        build(BLOCK).check(validated=False)  # type: ignore[attr-defined]


def test_a_side_between_its_grids_is_refused() -> None:
    with pytest.raises(RecipeError, match="100 is no multiple of 32"):
        build({**BLOCK, "image_size": 100}).check(validated=False)  # type: ignore[attr-defined]


def test_the_tiny_form_has_no_weights_to_fetch() -> None:
    block = {"name": "yolo", "architecture": "yolo11s", "weights": "yolo11s.pt"}
    small = tiny(recipe().model_copy(update={"model": block})).model
    assert small["tiny"]
    assert small["architecture"] == "yolo11s"
    assert "weights" not in small
