"""Kept conversations: the answers are those of computing all, the picture is read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from toys import FAMILIES, network, png

from vesalius import Answer, Dialogue, Picture, Prediction, Question, Turn
from vesalius.cases.view import View
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.answering.prefix_cache import CachedPrefix, PrefixCache, common
from vesalius.recipe import Decoding

DECODING = Decoding(max_new_tokens=5)
ASKED = (
    "what organ?",
    "is there a nodule in the upper part of the left lung?",
    "where is it?",
    "is it normal?",
)
# These see picture and question at once, so only the picture's features can be kept.
FEATURES = {"paligemma", "blip2_t5"}


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def model_of(name: str, *, limit: int | None = None) -> Answerer:
    net = network(name)
    text = net.model.config.get_text_config()
    if name in {"gemma3", "gemma4"}:
        # The toy windows hold no conversation; what happens beyond it is tested below.
        text.sliding_window = 512
    model = Answerer(net)
    if limit is not None:
        model.prefix_cache = PrefixCache(limit)
    return model


class Reads:
    """A picture's bytes, and how often they were read."""

    def __init__(self, key: str) -> None:
        self.key, self.count = key, 0

    def __call__(self) -> bytes:
        self.count += 1
        return png(self.key)


def begin(name: str, read: object, asked: str, key: str = "a") -> Dialogue:
    return Dialogue(name, (Turn(Question(asked), (Picture(key, read),)),), name)


def follow(dialogue: Dialogue, reply: str, asked: str) -> Dialogue:
    last = replace(dialogue.turns[-1], reply=Answer(reply))
    return replace(dialogue, turns=(*dialogue.turns[:-1], last, Turn(Question(asked))))


def same(ours: Sequence[Prediction], plain: Sequence[Prediction]) -> None:
    for one, other in zip(ours, plain, strict=True):
        assert (one.text, one.finish) == (other.text, other.finish)
        assert one.usage.new_tokens == other.usage.new_tokens
        assert one.usage.prompt_tokens == other.usage.prompt_tokens
        assert one.usage.image_tokens == other.usage.image_tokens
        assert one.confidence.value == pytest.approx(other.confidence.value, abs=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.usefixtures("double")
def test_a_conversation_goes_on_as_if_all_were_computed(name: str) -> None:
    plain, ours = model_of(name), model_of(name, limit=2**30)
    assert ours.prefix_cache is not None
    read = Reads("a")
    talk = begin("t", read, ASKED[0])
    for number, asked in enumerate((*ASKED[1:], "")):
        (expected,) = plain.predict([talk], DECODING)
        before = read.count
        (found,) = ours.predict([talk], DECODING)
        same([found], [expected])
        assert read.count - before == (1 if number == 0 else 0)  # once in the whole conversation
        if asked:
            talk = follow(talk, expected.text, asked)
    assert ours.prefix_cache.misses == 1
    assert ours.prefix_cache.hits == len(ASKED) - 1
    if name not in FEATURES:
        # More than the picture: the earlier turns, too, were there.
        image = expected.usage.image_tokens
        assert ours.prefix_cache.taken > (len(ASKED) - 1) * (image + 5)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.usefixtures("double")
def test_conversations_of_any_length_are_answered_together(name: str) -> None:
    plain, ours = model_of(name), model_of(name, limit=2**30)
    assert ours.prefix_cache is not None
    reads = {key: Reads(key) for key in "abc"}
    talks = [begin(f"{key}{i}", reads[key], ASKED[i], key) for i in (0, 1) for key in "abc"]
    (first,) = ours.predict(talks[:1], DECODING)
    talks[0] = follow(talks[0], first.text, ASKED[1])
    (second,) = ours.predict(talks[:1], DECODING)
    talks[0] = follow(talks[0], second.text, ASKED[2])
    # One conversation in its third turn, one that starts on the same picture, four on others.
    found = ours.predict(talks, DECODING)
    same(found, [plain.predict([talk], DECODING)[0] for talk in talks])
    assert [p.id for p in found] == [t.id for t in talks]
    plain_reads = {key: read.count for key, read in reads.items()}
    later = [follow(t, p.text, ASKED[3]) for t, p in zip(talks, found, strict=True)]
    after = ours.predict(later[::-1], DECODING)
    assert {key: read.count for key, read in reads.items()} == plain_reads
    same(after, [plain.predict([talk], DECODING)[0] for talk in later[::-1]])


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.usefixtures("double")
def test_what_was_given_up_is_computed_again(name: str) -> None:
    plain, ours = model_of(name), model_of(name, limit=2**30)
    assert ours.prefix_cache is not None
    talks = [begin(key, Reads(key), ASKED[0], key) for key in "abc"]
    for talk in talks:
        ours.predict([talk], DECODING)
    ours.prefix_cache = PrefixCache(int(0.8 * ours.prefix_cache.size))  # no room for all three
    for turn in (1, 2):
        found = [ours.predict([talk], DECODING)[0] for talk in talks]
        same(found, [plain.predict([talk], DECODING)[0] for talk in talks])
        assert ours.prefix_cache.size <= ours.prefix_cache.limit
        talks = [follow(t, p.text, ASKED[turn]) for t, p in zip(talks, found, strict=True)]
    assert ours.prefix_cache.misses > 3


@pytest.mark.usefixtures("double")
def test_a_reply_that_reads_back_as_other_tokens_is_read_again_from_there() -> None:
    plain, ours = model_of("llava"), model_of("llava", limit=2**30)
    assert ours.prefix_cache is not None
    talk = begin("t", Reads("a"), ASKED[0])
    (said,) = ours.predict([talk], DECODING)
    for reply in (said.text + "!", "something else", said.text[: len(said.text) // 2]):
        told = follow(talk, reply, ASKED[1])
        same(ours.predict([told], DECODING), plain.predict([told], DECODING))
    assert ours.prefix_cache.misses == 1


@pytest.mark.usefixtures("double")
def test_another_picture_or_frame_is_another_conversation() -> None:
    plain, ours = model_of("llava"), model_of("llava", limit=2**30)
    assert ours.prefix_cache is not None
    for key in "ab":
        talk = begin("t", Reads(key), ASKED[0], key)
        same(ours.predict([talk], DECODING), plain.predict([talk], DECODING))
    turn = talk.turns[0]
    shifted = replace(talk, turns=(replace(turn, pictures=(turn.pictures[0].at(View(0)),)),))
    same(ours.predict([shifted], DECODING), plain.predict([shifted], DECODING))
    assert (ours.prefix_cache.hits, ours.prefix_cache.misses) == (0, 3)
    # A second picture in a later turn: the first one is kept, and begins it.
    shown = Turn(Question(ASKED[1]), (Picture("c", partial(png, "c")),))
    first = replace(talk.turns[0], reply=Answer("liver"))
    both = replace(talk, turns=(first, shown))
    same(ours.predict([both], DECODING), plain.predict([both], DECODING))
    assert ours.prefix_cache.hits == 1
    told = follow(both, "no", ASKED[2])
    same(ours.predict([told], DECODING), plain.predict([told], DECODING))
    assert ours.prefix_cache.hits == 2


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("window", [24, 60, 80, 100, 140])
def test_beyond_a_sliding_window_nothing_is_taken_that_it_lost(window: int) -> None:
    plain, ours = model_of("gemma3"), model_of("gemma3", limit=2**30)
    assert ours.prefix_cache is not None
    for model in (plain, ours):
        model.network.model.config.get_text_config().sliding_window = window
        for layer in model.network.model.model.language_model.layers:
            if getattr(layer.self_attn, "sliding_window", None):
                layer.self_attn.sliding_window = window
    talks = [begin(f"t{i}", Reads("a"), asked) for i, asked in enumerate(ASKED)]
    for turn in range(3):
        expected = [plain.predict([talk], DECODING)[0] for talk in talks]
        same(ours.predict(talks, DECODING), expected)
        talks = [follow(t, p.text, ASKED[turn]) for t, p in zip(talks, expected, strict=True)]
    assert (ours.prefix_cache.taken > 0) == (window > 24)


def test_beams_and_samples_are_what_they_were() -> None:
    plain, ours = model_of("llava"), model_of("llava", limit=2**30)
    talks = [begin(key, Reads(key), ASKED[0], key) for key in "ab"]
    for decoding in (Decoding(max_new_tokens=5, beams=3), Decoding(temperature=1.0)):
        for _ in range(2):
            found = [p.text for p in ours.predict(talks, decoding)]
            assert found == [p.text for p in plain.predict(talks, decoding)]


def test_bytes_are_counted_and_the_oldest_goes_first() -> None:
    def entry(key: str, ids: tuple[int, ...]) -> CachedPrefix:
        layer = torch.zeros(1, 2, len(ids), 4)
        return CachedPrefix((key,), ids, (None, (layer, layer)))

    cache = PrefixCache(limit=entry("a", (1, 2, 3)).size * 2)
    cache.keep(entry("a", (1, 2)))
    cache.keep(entry("a", (1, 2, 3)))  # continues the first
    assert (len(cache), cache.size) == (1, cache.limit // 2)
    cache.keep(entry("b", (1, 2, 3)))
    assert cache.find(("a",), (1, 2, 3, 4), 2) is not None  # now b is the oldest
    cache.keep(entry("c", (1, 2, 3)))
    assert cache.find(("b",), (1, 2, 3, 4), 2) is None
    assert cache.find(("a",), (1, 2, 9, 9), 2).length == 2
    assert cache.find(("a",), (1, 9, 9, 9), 2) is None
    assert cache.find(("a",), (1, 2), 2) is None  # a prompt's last token is always computed
    cache.keep(entry("d", tuple(range(100))))  # larger than everything
    assert len(cache) == 2
    cache.forget()
    assert (len(cache), cache.size) == (0, 0)


def test_one_picture_is_forgotten_in_all_its_views() -> None:
    cache = PrefixCache(2**20)
    views = (("a", View()),), (("a#frame=1", View(1)),), (("b", View()), ("a", View()))
    for number, key in enumerate((*views, (("ab", View()),))):
        cache.keep(CachedPrefix(key, (number,), ((torch.zeros(1, 1, 1, 4),) * 2,)))
    cache.cache_features(views[0], torch.zeros(1, 2, 4))
    assert len(cache) == 5
    cache.forget("a#frame=3")
    assert len(cache) == 1
    assert cache.find((("ab", View()),), (3, 4), 1) is not None
    assert cache.size == 32


def test_a_common_beginning() -> None:
    assert common((1, 2, 3), (1, 2, 4)) == 2
    assert common((1, 2), (1, 2, 4)) == 2
    assert common((), (1,)) == 0
