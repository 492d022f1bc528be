"""Questions about one picture and about several in one set: fitted and predicted, or refused."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vesalius import Recipe
from vesalius.errors import ModelError
from vesalius.steps.fit import fit
from vesalius.steps.plan import plan
from vesalius.steps.predict import predict

MIXTURES = {"all two": (2, 2, 2), "one of two": (1, 2, 1), "one to three": (1, 3, 2)}
"""How many pictures each case of a split shows."""
ONE_PICTURE = (
    "{% for message in messages %}{% for part in message.content %}{% if part.type == 'image' %}"
    "{% if loop.index > 1 %}{{ raise_exception('one picture only') }}{% endif %}{{ '<image>' }}"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{{ '</s>' }}{% endfor %}"
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def drawn(root: Path, **splits: tuple[int, ...]) -> Path:
    """A folder whose cases show so many pictures each, of different sizes."""
    root.mkdir()
    rng = np.random.default_rng(0)
    for split, counts in splits.items():
        lines = []
        for number, count in enumerate(counts):
            case = f"{split}{number}"
            names = [f"{case}-{at}.png" for at in range(count)]
            for name in names:
                shape = (*rng.integers(30, 80, 2), 3)
                pixels = rng.integers(0, 255, shape, dtype=np.uint8)
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "PNG")
                (root / name).write_bytes(buffer.getvalue())
            asked = {"question": "is it normal?", "answer": "no" if number % 2 else "yes"}
            lines.append(json.dumps({"id": case, "patient": case, "images": names, **asked}))
        (root / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return root


def recipe(root: Path, **model: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "studies",
            "data": {"dataset": "folder", "root": str(root)},
            "decoding": {"max_new_tokens": 3, "batch": 1},  # CHUNK batches are asked at a time
            "model": {"tiny": True, "training": {"max_steps": 2, "batch": 3}, **model},
        }
    )


def of_family(family: str, root: Path, **model: Any) -> Recipe:
    return recipe(root, name="generative", family=family, **model)


@pytest.mark.parametrize("family", ["paligemma", "blip2_t5"])
@pytest.mark.parametrize(
    "mixture",
    ["one to three", *(pytest.param(m, marks=pytest.mark.slow) for m in ("all two", "one of two"))],
)
def test_families_that_read_pictures_first_take_any_mixture(
    family: str, mixture: str, tmp_path: Path
) -> None:
    counts = MIXTURES[mixture]
    root = drawn(tmp_path / "set", train=counts, validation=counts[:1], test=counts[::-1])
    small = of_family(family, root)
    assert plan(small)["rows"] == len(counts)
    run = fit(small, tmp_path / "run")
    assert predict(run) == len(counts)
    shown = [p.usage.image_tokens for p in run.predictions() if p.usage is not None]
    assert shown == [4 * count for count in counts[::-1]]  # four of each toy picture


def test_a_template_of_one_picture_is_refused_by_row_before_a_run_is_made(tmp_path: Path) -> None:
    root = drawn(tmp_path / "set", train=(1, 2), validation=(1,), test=(1,))
    small = of_family("llava", root, chat_template=ONE_PICTURE)
    for step in (plan, lambda one: fit(one, tmp_path / "run")):
        with pytest.raises(ModelError, match=r"^train1.*the chat template refuses it: one picture"):
            step(small)
    assert not (tmp_path / "run").exists()


def test_a_model_of_one_picture_refuses_a_test_split_before_its_first_answer(
    tmp_path: Path,
) -> None:
    root = drawn(tmp_path / "set", train=(1, 1), validation=(1,), test=(1, 1, 1, 1, 1, 2))
    run = fit(recipe(root, name="vilt"), tmp_path / "run")
    with pytest.raises(ModelError, match=r"^test5.*shows 2 pictures with one question"):
        predict(run)
    assert not run.predictions_file().exists()
    assert "predictions" not in run.status()
    assert predict(run, limit=2) == 2
