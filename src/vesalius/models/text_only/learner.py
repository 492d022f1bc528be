"""The learner of language models: fitted on questions and answers, asked without a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from transformers import PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import RecipeError
from vesalius.models import Lesson
from vesalius.models.capabilities import HubCard, Pictures
from vesalius.models.codecs import WORDS, Replies
from vesalius.models.generative.blueprint import Blueprint
from vesalius.models.generative.learner import Generative
from vesalius.models.generative.network import Network
from vesalius.models.generative.rows.encoder import Prefixes
from vesalius.models.generative.rows.groups import Groups
from vesalius.models.generative.weights import sizes
from vesalius.models.generative.weights.counts import weigh
from vesalius.models.text_only.encoder import assemble, without_pictures
from vesalius.models.text_only.kinds import family
from vesalius.models.text_only.origin import TextOrigin
from vesalius.models.text_only.settings import PACKAGED, Kind, TextSettings
from vesalius.run import Run

CARDS: dict[str, HubCard] = {
    "causal": HubCard(
        "text-generation",
        "AutoModelForCausalLM",
        "Prompts are written by the tokenizer's chat template, exactly as in training.",
    ),
    "seq2seq": HubCard(
        "text2text-generation",
        "AutoModelForSeq2SeqLM",
        "Prompts are the question's words, as the tokenizer's chat template joins them.",
    ),
}


@dataclass(frozen=True, slots=True)
class Worded(Blueprint):
    """The blueprint of a language model: no picture is looked for."""

    needs_image: ClassVar[bool] = False

    settings: TextSettings

    def network(self, model: PreTrainedModel, processor: Any, answers: Replies = WORDS) -> Network:
        """A model and its tokenizer as they are trained and asked."""
        return assemble(
            model,
            processor,
            self.origin.family(),
            max_length=self.settings.max_length,
            chat_template=self.settings.chat_template,
            answers=answers,
        )

    def require(self) -> None:
        """Nothing: its only part is the language model."""

    def groups(
        self, train: Sequence[Dialogue], network: Network, prefixes: Prefixes | None = None
    ) -> Groups:
        """What a fit iterates over: a row a dialogue."""
        longest = network.max_length
        return Groups(train, network.encoder, share=False, per_row=1, max_length=longest)


class Text(Generative):
    """Any causal or text-to-text language model of transformers, tuned or as it is.

    It reads the words of a dialogue and none of its pictures. A prompt is written by one function
    for training and asking: the tokenizer's chat template where it has one, else plain text. Loss
    falls on the answer and its end token only.
    """

    Settings: ClassVar[type[TextSettings]] = TextSettings  # type: ignore[assignment]
    needs_image: ClassVar[bool] = False  # type: ignore[misc]

    def __init__(self, settings: TextSettings) -> None:
        self.settings = settings
        self.blueprint = Worded(settings, TextOrigin(settings))

    @property
    def takes_pictures(self) -> Pictures:
        """It never sees any."""
        return "none"

    def rehearse(self, stages: Sequence[tuple[Any, Sequence[Dialogue]]], seed: int) -> None:
        """As of any model that writes, on the words alone."""
        super().rehearse([(learner, _words(train)) for learner, train in stages], seed)

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Train on questions and answers; what was trained is in ``run.weights`` at the end."""
        super().fit(replace(lesson, train=_words(lesson.train)), run)

    def plan(self, train: Sequence[Dialogue], seed: int) -> dict[str, Any]:
        """What a fit would do: parameters, tokens, steps; memory and time from one real step."""
        return super().plan(_words(train), seed)

    def mask(self, train: Sequence[Dialogue], seed: int) -> Iterator[tuple[str, bool]]:
        """(token, bears loss) along the first training row."""
        yield from super().mask(_words(train), seed)

    @property
    def card(self) -> HubCard:
        """How its exported weights are loaded."""
        return CARDS[self.blueprint.origin.family().layout]

    @classmethod
    def tiny(cls, block: Mapping[str, Any]) -> dict[str, Any]:
        """The block with ``tiny: true`` and the kind of the weights it named; RecipeError."""
        weights = block.get("weights")
        if weights is None:
            return dict(block)
        kind = block.get("kind") or _published_kind(weights)
        if kind is None:
            hint = "name it in the recipe: model.kind=causal or model.kind=seq2seq"
            raise RecipeError(f"the kind of {weights} is not known", where="model", hint=hint)
        rest = {key: value for key, value in block.items() if key not in {"weights", "revision"}}
        return rest | {"tiny": True, "kind": kind}

    def weigh(self) -> dict[str, Any]:
        """Parameters and least memory by the weights' published sizes; nothing if it is drawn."""
        weights = self.settings.weights
        if weights is None:
            return {}
        kind = _published_kind(weights) or self.settings.kind or "causal"
        outline = sizes.language_outline(sizes.of(weights, _part(kind)), kind)
        facts = weigh(outline, family(kind), self.settings)
        return facts | {"source": f"published sizes of {weights}"}

    def hub_weights(self) -> tuple[str, ...]:
        """The weights it names, unless they are packaged."""
        weights = self.settings.weights
        return () if weights is None or weights == PACKAGED else (weights,)


def _words(train: Sequence[Dialogue]) -> list[Dialogue]:
    return [without_pictures(dialogue) for dialogue in train]


def _part(kind: Kind) -> str:
    """Where ``sizes.yaml`` has the models of a kind."""
    return "text_to_text" if kind == "seq2seq" else "language"


def _published_kind(weights: str) -> Kind | None:
    kinds: tuple[Kind, Kind] = ("causal", "seq2seq")
    return next((kind for kind in kinds if weights in sizes.published(_part(kind))), None)
