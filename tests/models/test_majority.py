from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vesalius.errors import ModelError, RunError
from vesalius.models import Lesson
from vesalius.models.build import build
from vesalius.recipe import Decoding


@pytest.fixture
def fitted(ask, new_run):
    train = [
        ask("Which plane?", "axial", category="plane"),
        ask("which  plane?", "Axial", category="plane"),
        ask("which plane?", "axial", category="plane"),
        ask("which plane?", "sagittal", category="plane"),
        *[ask("what view?", "lateral", category="plane") for _ in range(4)],
        *[ask("contrast?", answer, category="modality") for answer in ("yes", "no")],
    ]
    run, learner = new_run("majority"), build({"name": "majority"})
    learner.fit(Lesson(train), run)
    return run, learner.load(run)


def answers(model, *dialogues):
    return [(p.text, p.confidence.value) for p in model.predict(dialogues, Decoding())]


def test_question_then_category_then_overall(fitted, ask) -> None:
    model = fitted[1]
    # plane, by counting spellings together: lateral 4, axial 3, sagittal 1 of 8; overall of 10.
    assert answers(
        model,
        ask("WHICH plane?", category="plane"),
        ask("in what plane is it?", category="plane"),
        ask("anything else?", category="unheard of"),
        ask("anything else?"),
    ) == [("axial", 3 / 4), ("lateral", 4 / 8), ("lateral", 4 / 10), ("lateral", 4 / 10)]


def test_ties_go_to_the_first_in_the_alphabet(fitted, ask) -> None:
    assert answers(fitted[1], ask("contrast?")) == [("no", 1 / 2)]


def test_prediction_says_how_sure_and_needs_no_image(fitted, ask) -> None:
    prediction = fitted[1].predict([ask("contrast?", "yes")], Decoding())[0]
    assert prediction.confidence.method == "training frequency"
    assert prediction.references[0].text == "yes"
    assert not fitted[1].needs_image
    assert fitted[1].predict([], Decoding()) == []


def test_captions_follow_the_same_rule(ask, new_run) -> None:
    run, learner = new_run("majority"), build({"name": "majority"})
    learner.fit(Lesson([ask("Describe this image.", t) for t in ("chest", "brain", "chest")]), run)
    assert answers(learner.load(run), ask("Describe this image.")) == [("chest", 2 / 3)]


def test_nothing_to_count_is_refused(ask, new_run) -> None:
    with pytest.raises(ModelError):
        build({"name": "majority"}).fit(Lesson([ask("what?")]), new_run("majority"))


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"questions": [], "categories": {}, "overall": 1}']
)
def test_torn_or_foreign_file_is_refused(fitted, content) -> None:
    run = fitted[0]
    (run.weights / "majority.json").write_text(content)
    with pytest.raises(RunError, match=r"majority\.json"):
        build({"name": "majority"}).load(run)


WITHOUT_TORCH = """
import sys
from pathlib import Path


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")


sys.meta_path.insert(0, Absent())
from vesalius import Recipe
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict

cases = {"train": 6, "validation": 2, "test": 3}
data = {"dataset": "phantom", "options": {"cases": cases, "size": 48}, "leaks": "allow"}
recipe = Recipe.model_validate({"name": "m", "data": data, "model": {"name": "majority"}})
print(predict(fit(recipe, Path(sys.argv[1]))))
"""


def test_it_is_fitted_and_asked_where_torch_is_not_installed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
