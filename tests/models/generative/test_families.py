"""Every family, at toy size: exact packing, prompts, prediction from a shared prefix."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from toys import FAMILIES, dialogues, gradients, network

from vesalius import Dialogue
from vesalius.errors import MissingExtra
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.network import Network
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.rows.rows import IGNORED
from vesalius.models.generative.text.families import families, family, family_of
from vesalius.models.generative.weights.tiny import sizes, tiny_model
from vesalius.recipe import Decoding


@pytest.fixture
def double() -> Iterator[None]:
    """Double precision: the question is exactness, not rounding."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_every_family_has_a_tiny_form() -> None:
    assert set(sizes()) == set(families())


def test_smolvlm_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.smolvlm import processing_smolvlm

    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    with pytest.raises(MissingExtra, match=r"num2words \(LGPL\).*vesalius\[smolvlm\]"):
        tiny_model(family("smolvlm"), dialogues(), seed=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_family_of_its_own_config(name: str) -> None:
    assert family_of(network(name).model.config).name == name


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.usefixtures("double")
def test_shared_rows_equal_separate_rows(name: str) -> None:
    net = network(name)
    options = {"per_row": 16, "max_length": 2048}
    shared = Groups(dialogues(), net.encoder, share=True, **options)
    apart = Groups(dialogues(), net.encoder, share=False, **options)
    assert (len(shared), len(apart)) == (3, 6)
    batch = collator(net)
    expected, expected_grads = gradients(net, [batch([apart[i]]) for i in range(6)])
    for packed in ([[0, 1, 2]], [[0], [1], [2]]):  # one batch; three accumulated ones
        batches = [batch([shared[i] for i in some]) for some in packed]
        loss, grads = gradients(net, batches)
        assert loss == pytest.approx(expected, abs=1e-5, rel=1e-5)
        assert grads.keys() == expected_grads.keys()
        for parameter, gradient in grads.items():
            reach = float(expected_grads[parameter].abs().max())
            off = float((gradient - expected_grads[parameter]).abs().max())
            assert off <= 1e-5 * max(1.0, reach), parameter
    vision = net.family.parts["vision"]
    assert any(n.startswith(vision) and float(g.abs().max()) > 0 for n, g in grads.items())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_training_row_is_prompt_plus_answer_token_for_token(name: str) -> None:
    encoder = network(name).encoder
    for dialogue in dialogues():
        closed = encoder.segment(encoder.template.render(dialogue.closed()), dialogue.id)
        served = encoder.segment(encoder.template.render(dialogue.replying(None)), dialogue.id)
        start = len(served.ids)
        assert closed.ids[:start] == served.ids
        assert set(closed.labels[start - 1 : start]) == {IGNORED}
        assert closed.labels[start:] == closed.ids[start:]  # the answer and its end token, no more
        said = encoder.tokenizer.decode(closed.ids[start:], skip_special_tokens=True)
        assert said.strip() == dialogue.question.answers[0].text


@pytest.mark.parametrize("name", FAMILIES)
def test_prediction_together_equals_one_by_one(name: str) -> None:
    model = Answerer(network(name))
    asked = [d.replying(None) for d in dialogues()]
    decoding = Decoding(max_new_tokens=6)
    together = model.predict(asked, decoding)
    alone = [model.predict([d], decoding)[0] for d in asked]
    assert [p.text for p in together] == [p.text for p in alone]
    # Most of PaliGemma's toy vocabulary is location tokens, which no text shows.
    assert len({(p.text, p.confidence.value) for p in together}) > 1
    for one, other in zip(together, alone, strict=True):
        assert one.confidence.value == pytest.approx(other.confidence.value, abs=1e-4)


def test_answering_leaves_attention_aside_that_plans_for_every_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, seen = network("llava"), []
    forward = net.model.forward

    def watched(*args, **kwargs):
        seen.append(torch.backends.cuda.cudnn_sdp_enabled())
        return forward(*args, **kwargs)

    monkeypatch.setattr(net.model, "forward", watched)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    Answerer(net).predict([dialogues()[0].replying(None)], Decoding(max_new_tokens=2))
    assert set(seen) == {False}
    assert torch.backends.cuda.cudnn_sdp_enabled() == before


def test_sampled_answers_depend_on_seed_and_dialogue_alone() -> None:
    model = Answerer(network("llava"))
    asked = [d.replying(None) for d in dialogues()]
    decoding = Decoding(max_new_tokens=6, temperature=1.0)
    state = torch.get_rng_state()
    together = [p.text for p in model.predict(asked, decoding)]
    assert torch.equal(torch.get_rng_state(), state)
    assert [model.predict([d], decoding)[0].text for d in asked] == together
    other = decoding.model_copy(update={"seed": 1})
    assert [p.text for p in model.predict(asked, other)] != together


def native(net: Network, dialogue: Dialogue) -> dict[str, torch.Tensor]:
    """What the family's own processor makes of the whole rendered dialogue."""
    text = net.encoder.template.render(dialogue).text
    if net.family.layout == "queried":  # its processor puts the picture in front itself
        text = text.removeprefix("<image>")
    if net.family.layout == "prefix_lm":  # its processor writes <bos> and the line break itself
        asked, said = text.removeprefix("<image><bos>").removesuffix("<eos>").split("\n")
        made = net.processor(
            images=dialogue.pictures[0].pixels(),
            text="<image>" + asked,
            suffix=said,
            return_tensors="pt",
        )
        return dict(made)
    bos = net.encoder.tokenizer.bos_token
    made = net.processor(
        images=[dialogue.pictures[0].pixels()],
        text=[text],
        return_tensors="pt",
        add_special_tokens=net.family.name in {"llava", "llava_next"} and not text.startswith(bos),
    )
    return dict(made)


@pytest.mark.parametrize("name", [n for n in FAMILIES if family(n).layout != "encoder_decoder"])
def test_rows_are_what_the_familys_own_processor_and_loss_make(name: str) -> None:
    net = network(name)
    dialogue = dialogues()[2]
    (row,) = Groups([dialogue], net.encoder, share=False, per_row=1, max_length=2048)[0]
    own = native(net, dialogue.closed())
    ids = (*row.prefix.ids, *row.segments[0].ids)
    assert own["input_ids"][0].tolist() == list(ids)
    labels = torch.tensor([[IGNORED] * len(row.prefix.ids) + list(row.segments[0].labels)])
    ours = {k: v for k, v in collator(net)([[row]]).items() if k not in {"ids", "tokens"}}
    own |= {"labels": labels}
    with torch.no_grad():
        expected = float(net.model(**own).loss)
        assert float(net.model(**ours).loss) == pytest.approx(expected, rel=1e-5)


def test_an_encoder_decoders_loss_is_the_models_own() -> None:
    net = network("blip2_t5")
    dialogue = dialogues()[2]
    (row,) = Groups([dialogue], net.encoder, share=False, per_row=1, max_length=2048)[0]
    own = net.processor(
        images=dialogue.pictures[0].pixels(),
        text="Question: where is it? Answer:</s>",
        return_tensors="pt",
    )
    labels = net.encoder.tokenizer(
        " upper lobe of the left lung</s>", return_tensors="pt"
    ).input_ids
    ours = {k: v for k, v in collator(net)([[row]]).items() if k not in {"ids", "tokens"}}
    assert ours["input_ids"].tolist() == own["input_ids"].tolist()
    assert ours["labels"].tolist() == labels.tolist()
    with torch.no_grad():
        expected = float(net.model(**own, labels=labels).loss)
        assert float(net.model(**ours).loss) == pytest.approx(expected, rel=1e-5)
