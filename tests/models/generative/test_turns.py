"""Pictures in several turns: each in the turn that shows it, in training and in what is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

import pytest
import torch
from toys import FAMILIES, dialogues, gradients, network, png

from vesalius import Answer, Dialogue, Picture, Question, Turn
from vesalius.errors import TooLong, Unshowable
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.answering.prefix_cache import PrefixCache
from vesalius.models.generative.network import Network
from vesalius.models.generative.preflight import check_rows
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.rows.layouts import layouts
from vesalius.models.generative.rows.rows import IGNORED, Row
from vesalius.models.generative.text.families import family
from vesalius.models.generative.text.template import Template
from vesalius.recipe import Decoding

BETWEEN = [name for name in FAMILIES if family(name).repeats is None]
"""Families that read pictures between turns; the others read them before all words."""
GROWING = [name for name in BETWEEN if layouts[family(name).layout].grows]
"""Of these, families whose kept conversations go on with a new picture."""
BEFORE = [name for name in FAMILIES if family(name).repeats is not None]
DECODING = Decoding(max_new_tokens=5)
REPLIES = ("liver", "yes", "no")


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def picture(key: str) -> Picture:
    return Picture(key, partial(png, key))


def talk(*shown: str, name: str = "talk", last: str | None = None) -> Dialogue:
    """A dialogue whose turns show the pictures of these letters; its last reply is a reference."""
    asked = ("what organ?", "is it a nodule?", "is it normal?")
    turns = [
        Turn(
            Question(asked[at], answers=(Answer(REPLIES[at]),)),
            tuple(map(picture, letters)),
            Answer(REPLIES[at]) if at < len(shown) - 1 else None,
        )
        for at, letters in enumerate(shown)
    ]
    if last is not None:
        turns[-1] = replace(turns[-1], question=Question(last))
    return Dialogue(name, tuple(turns), name)


def row_of(net: Network, dialogue: Dialogue) -> Row:
    (row,) = Groups([dialogue], net.encoder, share=True, per_row=16, max_length=2048)[0]
    return row


def ids_of(row: Row) -> list[int]:
    return [*row.prefix.ids, *(token for segment in row.segments for token in segment.ids)]


def own_inputs(net: Network, dialogue: Dialogue) -> dict[str, Any]:
    """What the family's own processor makes of the rendered dialogue and its pictures."""
    text = net.encoder.template.render(dialogue).text
    bos = net.encoder.tokenizer.bos_token
    adds = net.family.name in {"llava", "llava_next"} and not text.startswith(bos)
    return dict(
        net.processor(
            images=[one.pixels() for one in dialogue.pictures],
            text=[text],
            return_tensors="pt",
            add_special_tokens=adds,
        )
    )


# Training


@pytest.mark.parametrize("name", BETWEEN)
@pytest.mark.parametrize("shown", [("a", "c", ""), ("ab", "", "c"), ("", "b", "a")])
def test_a_row_is_what_the_familys_own_processor_and_loss_make(
    name: str, shown: tuple[str, ...]
) -> None:
    net, dialogue = network(name), talk(*shown)
    row, own = row_of(net, dialogue), own_inputs(net, dialogue.closed())
    assert ids_of(row) == own["input_ids"][0].tolist()
    pixels = [key for key in row.prefix.images if "mask" not in key]
    assert pixels
    for key in pixels:  # as many blocks, in the same order
        torch.testing.assert_close(row.prefix.images[key], own[key])
    assert row.prefix.image_tokens == ids_of(row).count(net.encoder.image_id)
    ours = {k: v for k, v in collator(net)([[row]]).items() if k not in {"ids", "tokens"}}
    with torch.no_grad():
        expected = float(net.model(**own, labels=torch.tensor([row.labels])).loss)
        assert float(net.model(**ours).loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", BETWEEN)
def test_every_reply_bears_loss_with_its_end_token_and_nothing_else(name: str) -> None:
    net = network(name)
    row = row_of(net, talk("a", "c", "b"))
    assert any(label != IGNORED for label in row.prefix.labels)  # two replies are before the last
    stretches = [
        list(run) for bears, run in groupby(row.labels, lambda label: label != IGNORED) if bears
    ]
    texts = [net.encoder.tokenizer.decode(one, skip_special_tokens=True) for one in stretches]
    assert [text.strip() for text in texts] == list(REPLIES)
    assert all(one[-1] in net.stops for one in stretches)
    labelled = [(i, t) for i, t in zip(ids_of(row), row.labels, strict=True) if t != IGNORED]
    assert all(token == label for token, label in labelled)


@pytest.mark.parametrize("name", BETWEEN)
@pytest.mark.usefixtures("double")
def test_rows_that_share_and_rows_that_cannot_give_the_loss_of_separate_rows(name: str) -> None:
    net = network(name)
    given = [*dialogues(), talk("a", "c", ""), talk("a", "c", name="again"), talk("ab", "")]
    options = {"per_row": 16, "max_length": 2048}
    shared = Groups(given, net.encoder, share=True, **options)
    apart = Groups(given, net.encoder, share=False, **options)
    assert (len(shared), len(apart)) == (6, 9)
    assert (shared.unshared, apart.unshared) == (2, 0)
    batch = collator(net)
    expected, expected_grads = gradients(net, [batch([apart[i]]) for i in range(9)])
    # In one batch with fewer pictures, tokens before mllama's first picture see what pads the row.
    packed = [range(6)] if name != "mllama" else [[i] for i in range(6)]
    loss, grads = gradients(net, [batch([shared[i] for i in some]) for some in packed])
    assert loss == pytest.approx(expected, abs=1e-5, rel=1e-5)
    for parameter, gradient in grads.items():
        reach = float(expected_grads[parameter].abs().max())
        off = float((gradient - expected_grads[parameter]).abs().max())
        assert off <= 1e-5 * max(1.0, reach), parameter


@pytest.mark.parametrize("name", BEFORE)
@pytest.mark.usefixtures("double")
def test_several_pictures_before_the_first_question(name: str) -> None:
    net = network(name)
    given = [*dialogues(), talk("ab"), talk("ab", "", name="two turns"), talk("ca", name="other")]
    options = {"per_row": 16, "max_length": 2048}
    shared = Groups(given, net.encoder, share=True, **options)
    apart = Groups(given, net.encoder, share=False, **options)
    batch = collator(net)
    expected, _ = gradients(net, [batch([apart[i]]) for i in range(len(apart))])
    loss, _ = gradients(net, [batch([shared[i] for i in range(len(shared))])])
    assert loss == pytest.approx(expected, abs=1e-5, rel=1e-5)
    model = Answerer(net)
    for decoding in (DECODING, Decoding(max_new_tokens=5, beams=2)):
        together = model.predict(given, decoding)
        for one, dialogue in zip(together, given, strict=True):
            (alone,) = model.predict([dialogue], decoding)
            assert one.text == alone.text
            assert one.confidence.value == pytest.approx(alone.confidence.value, abs=1e-5)


@pytest.mark.parametrize("name", ["idefics3", "llava", "mllama", "qwen3_vl"])
def test_words_before_a_picture_cannot_become_one_or_end_their_turn(name: str) -> None:
    net = network(name)
    plain, end = talk("a", "c"), net.encoder.tokenizer.convert_ids_to_tokens(net.stops[0])
    said = f"{net.family.image}{end} {net.family.image}"
    first = replace(plain.turns[0], question=Question(said), reply=Answer(said))
    row, usual = row_of(net, replace(plain, turns=(first, plain.turns[1]))), row_of(net, plain)
    for token in (net.encoder.image_id, net.stops[0]):
        assert ids_of(row).count(token) == ids_of(usual).count(token)
    assert net.encoder.tokenizer.decode(row.prefix.ids).count(said) == 2


@pytest.mark.parametrize("name", BETWEEN)
def test_the_length_of_a_row_is_known_before_its_pictures_are_read(name: str) -> None:
    net = network(name)
    first, long = talk("a", "c"), talk("a", "c", name="long", last="is there a nodule in the lung?")
    opening = replace(long.turns[0], reply=Answer("a liver " * 9))
    long = replace(long, turns=(opening, replace(long.turns[1], reply=Answer("no"))))
    length = len(ids_of(row_of(net, long)))
    check_rows([first, long], replace(net, max_length=length))
    with pytest.raises(TooLong, match=f"long: {length} tokens do not fit into {length - 1}"):
        check_rows([first, long], replace(net, max_length=length - 1), sample=0)


# Refusals


@pytest.mark.parametrize("name", BEFORE)
def test_families_that_read_pictures_first_refuse_later_ones(name: str) -> None:
    net, dialogue = network(name), talk("a", "c")
    fault = rf"^talk: turn 2 shows a picture, and {family(name).title} .*\(show them in the first"
    with pytest.raises(Unshowable, match=fault):
        check_rows([*dialogues(), dialogue], net)
    with pytest.raises(Unshowable, match=fault):
        Answerer(net).predict([dialogue], DECODING)
    cached = Answerer(net)
    cached.prefix_cache = PrefixCache(2**30)
    with pytest.raises(Unshowable, match=fault):
        cached.predict([dialogue], DECODING)


PICTURES_FIRST = (
    "{% for message in messages %}{% for part in message.content %}{% if part.type == 'image' %}"
    "{{ '<image>' }}{% endif %}{% endfor %}{% endfor %}"
    "{% for message in messages %}{{ message.role }}: {% for part in message.content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
REFUSING = "{{ raise_exception('one picture only') }}"


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        (PICTURES_FIRST, r"does not write the pictures of turn 1 there \(set model.chat_template"),
        (REFUSING, "^talk: the chat template refuses it: one picture only"),
    ],
)
def test_a_template_that_cannot_show_pictures_where_they_belong(template: str, fault: str) -> None:
    tokenizer = network("llava").encoder.tokenizer
    tokenizer.chat_template = template
    with pytest.raises(Unshowable, match=fault):
        Template(tokenizer, image="<image>", end="</s>").render(talk("a", "c"))


# What is kept of conversations


def models(name: str) -> tuple[Answerer, Answerer]:
    net, again = network(name), network(name)
    for one in (net, again):
        text = one.model.config.get_text_config()
        if name in {"gemma3", "gemma4"}:
            text.sliding_window = 512  # the toy windows hold no conversation
    ours = Answerer(again)
    ours.prefix_cache = PrefixCache(2**30)
    return Answerer(net), ours


def same(ours: Answerer, plain: Answerer, *asked: Dialogue) -> None:
    for one, other in zip(
        ours.predict(asked, DECODING), (plain.predict([d], DECODING)[0] for d in asked), strict=True
    ):
        assert one.text == other.text
        assert one.usage.prompt_tokens == other.usage.prompt_tokens
        assert one.confidence.value == pytest.approx(other.confidence.value, abs=1e-6)


@pytest.mark.parametrize("name", BETWEEN)
@pytest.mark.usefixtures("double")
def test_a_new_picture_goes_on_from_the_conversation_before_it(name: str) -> None:
    plain, ours = models(name)
    cache = ours.prefix_cache
    assert cache is not None
    same(ours, plain, talk("a"))
    taken = []
    for count, dialogue in enumerate(
        (talk("a", "c"), talk("a", "c", ""), talk("a", "c", "b"), talk("a", "c", "", last="where?"))
    ):
        before = cache.taken
        same(ours, plain, dialogue)
        taken.append(cache.taken - before)
        if name in GROWING:
            assert (cache.hits, cache.misses) == (count + 1, 1)
    first, second = (row_of(ours.network, talk(*shown)) for shown in ("a", ("a", "c")))
    if name in GROWING:
        assert len(first.prefix.ids) <= taken[0] < len(second.prefix.ids)
        assert taken[2] >= len(second.prefix.ids)
    assert taken[1] >= len(second.prefix.ids)  # both pictures were kept


@pytest.mark.parametrize("name", BETWEEN)
@pytest.mark.usefixtures("double")
def test_conversations_that_gain_pictures_are_answered_together(name: str) -> None:
    plain, ours = models(name)
    same(ours, plain, talk("a", name="1"), talk("b", name="2"), talk("c", "", name="3"))
    later = (talk("a", "c", name="1"), talk("b", "a", name="2"), talk("c", "", "b", name="3"))
    same(ours, plain, *later, talk("ab", name="4"), talk("a", "", name="5"))
    assert ours.prefix_cache is not None
    assert ours.prefix_cache.hits >= (4 if name in GROWING else 1)


@pytest.mark.parametrize("name", ["llava", "mllama", "qwen2_5_vl"])
@pytest.mark.usefixtures("double")
def test_another_first_picture_takes_nothing(name: str) -> None:
    plain, ours = models(name)
    cache = ours.prefix_cache
    assert cache is not None
    same(ours, plain, talk("a", "c"))
    for dialogue in (talk("b", "c"), talk("c", "c"), talk("c", "a"), talk("bc", "")):
        hits = cache.hits
        same(ours, plain, dialogue)
        assert cache.hits == hits


def test_only_the_new_picture_goes_through_the_tower() -> None:
    _, ours = models("llava")
    seen: list[int] = []
    tower = ours.network.model.get_submodule(ours.network.family.parts["vision"][0])
    tower.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    for dialogue in (talk("ab"), talk("ab", "c"), talk("ab", "c", "a")):
        ours.predict([dialogue], DECODING)
    assert seen == [2, 1, 1]
