"""Mistakes of the published systems that are not repeated here, each under its own name."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vesalius import Answer, Dialogue, Picture, Question, Recipe, Turn
from vesalius.errors import ModelError, RecipeError
from vesalius.models.build import build
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.fitting import prepared
from vesalius.models.generative.network import Network
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.rows.rows import IGNORED
from vesalius.recipe import Data, Decoding
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.prepare import dialogues, to_fit_on

DATA: dict[str, Any] = {
    "dataset": "phantom",
    "options": {"cases": {"train": 4, "validation": 2, "test": 3}, "size": 48},
    "leaks": "allow",
}
TINY: dict[str, Any] = {"name": "generative", "family": "llava", "tiny": True}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def png() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def talk(*turns: tuple[str, str]) -> Dialogue:
    """A dialogue about one picture; the last reply is a reference, the others history."""
    picture = Picture("p", partial(png))
    *earlier, (asked, said) = turns
    made = [Turn(Question(q), reply=Answer(a)) for q, a in earlier]
    made.append(Turn(Question(asked, answers=(Answer(said),))))
    first = Turn(made[0].question, (picture,), made[0].reply)
    return Dialogue("d", (first, *made[1:]), "g")


def network(*said: Dialogue) -> Network:
    learner: Any = build({**TINY, "precision": "fp32"})
    made: Network = prepared(learner.blueprint, list(said), 0)
    return made


def learned(net: Network, dialogue: Dialogue) -> list[str]:
    """The text of each unbroken run of tokens that bears loss."""
    groups = Groups([dialogue], net.encoder, share=True, per_row=16, max_length=2048)
    (segment,) = groups[0][0].segments
    runs: list[list[int]] = []
    for at, label in enumerate(segment.labels):
        if label == IGNORED:
            continue
        if not at or segment.labels[at - 1] == IGNORED:
            runs.append([])
        runs[-1].append(label)
    return [net.encoder.tokenizer.decode(run).strip() for run in runs]


# 1. BSAtlas


def test_trap_the_prompt_left_inside_the_scored_prediction() -> None:
    asked = talk(("zebra zebra zebra?", "ct"))
    net = network(asked)
    said = Answerer(net).predict([asked.replying(None)], Decoding(max_new_tokens=5))[0]
    assert said.usage is not None
    assert said.usage.new_tokens <= 5
    assert "zebra zebra" not in str(said.text)


def test_trap_sampling_while_scoring() -> None:
    assert Decoding().temperature == 0.0
    asked = talk(("what?", "ct")).replying(None)
    model = Answerer(network(talk(("what?", "ct"))))
    torch.manual_seed(1)
    first = model.predict([asked], Decoding(max_new_tokens=8))
    torch.manual_seed(2)
    assert model.predict([asked], Decoding(max_new_tokens=8))[0].text == first[0].text


def test_trap_no_untuned_baseline(tmp_path: Path) -> None:
    frozen = dict.fromkeys(("vision", "projector", "language"), "frozen")
    recipe = Recipe.model_validate({"name": "r", "data": DATA, "model": {**TINY, "roles": frozen}})
    run = fit(recipe, tmp_path / "untuned")
    assert sum(part["trainable"] for part in run.status()["parts"].values()) == 0
    asked = list(dialogues(recipe.data, "test"))[:2]
    assert len(load(run).predict(asked, Decoding(max_new_tokens=3))) == 2


# 3. ImageCLEF captioning


def test_trap_loss_over_the_prompt() -> None:
    dialogue = talk(("what modality is this?", "ct"))
    assert learned(network(dialogue), dialogue) == ["ct</s>"]


def test_trap_train_and_inference_prompts_differ() -> None:
    dialogue = talk(("what?", "liver"), ("is it normal?", "no"))
    encoder = network(dialogue).encoder
    closed = encoder.segment(encoder.template.render(dialogue.closed()), "d")
    opened = encoder.segment(encoder.template.render(dialogue.replying(None)), "d")
    assert closed.ids[: len(opened.ids)] == opened.ids


def test_trap_clean_up_that_eats_the_last_word() -> None:
    dialogue = talk(("describe.", "There is no effusion. The heart is large"))
    assert learned(network(dialogue), dialogue) == ["There is no effusion. The heart is large</s>"]


def test_trap_a_text_only_prompt_with_the_name_of_a_picture() -> None:
    pictured = talk(("what?", "ct"))
    bare = Dialogue("bare", (Turn(Question("what?")),), "g")
    model = Answerer(network(pictured))
    with pytest.raises(ModelError, match=r"bare.*has no picture"):
        model.predict([bare], Decoding())
    rendered = model.network.encoder.template.render(pictured.closed())
    assert "Picture" not in rendered.text
    assert "PIL" not in rendered.text


def test_trap_no_adapter_attached_to_a_four_bit_base(tmp_path: Path) -> None:
    model = {**TINY, "quantization": "nf4", "roles": {"projector": "full"}}
    recipe = Recipe.model_validate({"name": "r", "data": DATA, "model": model})
    with pytest.raises(RecipeError, match="adapter"):
        fit(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# 4. VMed-Llama3


def test_trap_text_cut_at_the_first_full_stop() -> None:
    dialogue = talk(("describe.", "A mass. It is large. It is on the left."))
    net = network(dialogue)
    assert learned(net, dialogue) == ["A mass. It is large. It is on the left.</s>"]


def test_trap_context_joined_without_roles() -> None:
    dialogue = talk(("what organ?", "liver"), ("is it normal?", "no"))
    text = network(dialogue).encoder.template.render(dialogue.replying(None)).text
    order = [text.index(part) for part in ("USER: ", "what organ?", "ASSISTANT: ", "liver")]
    assert order == sorted(order)
    assert text.count("USER: ") == 2
    assert text.endswith("is it normal? ASSISTANT:")


def test_trap_only_the_last_turn_of_a_dialogue_bears_loss() -> None:
    dialogue = talk(("what organ?", "liver"), ("is it normal?", "no"))
    assert learned(network(dialogue), dialogue) == ["liver</s>", "no</s>"]


# 5. ViLT and BLIP-2


def test_trap_the_best_epoch_chosen_on_the_test_split() -> None:
    data = Data.model_validate({**DATA, "splits": {"validation": "test"}})
    with pytest.raises(RecipeError, match="'test' is the test split: it may not train or choose"):
        to_fit_on(data, "test")
    recipe = Recipe.model_validate({"name": "r", "data": data.model_dump(), "model": TINY})
    with pytest.raises(RecipeError, match="may not train or choose"):
        fit(recipe, Path("never-made"))
    assert not Path("never-made").exists()


def test_trap_padding_not_masked() -> None:
    """The loss of a short row does not depend on the long one beside it."""
    short, long = talk(("what?", "ct")), talk(("what is to be seen in this picture?", "a liver"))
    net = network(short, long)

    def loss(*some: Dialogue) -> tuple[float, int]:
        items = Groups(some, net.encoder, share=False, per_row=1, max_length=2048)
        batch = collator(net)([items[i] for i in range(len(some))])
        labels = int(batch["shift_labels"].numel())
        given = {k: v for k, v in batch.items() if k not in {"ids", "tokens"}}
        with torch.no_grad():
            return float(net.model(**given).loss) * labels, labels

    both, apart = loss(short, long), [loss(short), loss(long)]
    assert both[0] == pytest.approx(apart[0][0] + apart[1][0], rel=1e-5)
    assert both[1] == apart[0][1] + apart[1][1]


def test_trap_adapters_silently_on_the_wrong_module(tmp_path: Path) -> None:
    """PEFT's own default for BLIP-2 lands on Flan-T5's q and v, never on the Q-Former."""
    model = {
        **TINY,
        "family": "blip2_t5",
        "roles": {"qformer": "adapter"},
        "adapter": {"targets": r".*\.(q|v)"},
    }
    recipe = Recipe.model_validate({"name": "r", "data": DATA, "model": model})
    with pytest.raises(ModelError, match="language"):
        fit(recipe, tmp_path / "run")


def test_trap_the_apps_prompt_unlike_trainings() -> None:
    """What ``ask`` sends about a file is, token for token, how a training row begins."""
    dialogue = talk(("what modality is this?", "ct"))
    encoder = network(dialogue).encoder
    turn = Turn(Question("what modality is this?"), dialogue.pictures)
    sent = encoder.template.render(Dialogue("file.png", (turn,), "file.png"))
    row = encoder.template.render(dialogue.closed())
    served = encoder.segment(sent, "d").ids
    assert sent.head == row.head
    assert encoder.segment(row, "d").ids[: len(served)] == served
