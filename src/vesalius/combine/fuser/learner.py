"""One answer of several: a language model that reads what others answered and writes its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, model_validator

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.combine.fuser import candidates
from vesalius.combine.fuser.boost import boosting
from vesalius.combine.fuser.candidates import Stored
from vesalius.combine.members import member_answers, table
from vesalius.errors import UnknownName
from vesalius.models import Lesson, Model, Piece, Validate, Wraps
from vesalius.models.capabilities import HubCard, controlled
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.blueprint import Blueprint
from vesalius.models.text_only.learner import Text
from vesalius.models.text_only.settings import TextSettings
from vesalius.recipe import Decoding
from vesalius.run import Run

T = TypeVar("T")
INSTRUCTION = "Combine these answers to one question about a medical image into one. {question}"


class FuserSettings(TextSettings):
    """Which language model writes, from what, and whether it learns to."""

    method: Literal["learn", "boost"] = "learn"
    """``learn``: the language model is fitted on members' out-of-fold answers and the references;
    ``boost``: it is asked as it is, and the candidates' words are made likelier while it writes."""
    instruction: str = INSTRUCTION
    """What stands before the numbered candidates; ``{question}`` stands for what was asked."""
    use: tuple[str, ...] | None = Field(default=None, min_length=2)
    """Only these members' answers are read, in this order; by default all."""
    bonus: float = Field(default=4.0, ge=0.0)
    """Of ``boost``: what is added to the score (the logarithm of a probability) of a candidate's
    word, times how alike the text so far is to that candidate."""

    @model_validator(mode="before")
    @classmethod
    def _untrained(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("method") != "boost":
            return data
        frozen = {"language": "frozen"}
        if data.get("roles", frozen) != frozen:
            raise ValueError("method boost trains nothing; leave roles out")
        return {**data, "roles": frozen}

    @model_validator(mode="after")
    def _learning(self) -> Self:
        if self.method == "learn" and "frozen" in self.roles.values():
            raise ValueError("method learn trains the language model: adapter or full")
        if self.use is not None and len(set(self.use)) < len(self.use):
            raise ValueError("use names a member twice")
        return self


@dataclass(frozen=True, slots=True)
class Fusion:
    """Members that all answer, and the language model that writes one answer of theirs."""

    settings: FuserSettings
    writer: Answerer
    members: Mapping[str, Model]

    @property
    def needs_image(self) -> bool:
        """Whether any member needs one."""
        return any(member.needs_image for member in self.members.values())

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue, its evidence an entry for each member, in their order.

        Confidence, end and usage are the writer's. A candidate that is empty, or whose member
        abstained, stands in the prompt as such and is counted in the prediction's notes; where the
        writer or all members abstain, so does the answer. ModelError where members answer other
        dialogues.
        """
        rows = self._candidates(dialogues, decoding)
        prompts = self._prompts(dialogues, rows)
        replies = self._writer(dialogues, rows).predict(prompts, decoding)
        each = zip(dialogues, rows, replies, strict=True)
        return [self._prediction(*one) for one in each]

    def stream(
        self,
        dialogues: Sequence[Dialogue],
        decoding: Decoding,
        *,
        cancelled: Callable[[int], bool] | None = None,
    ) -> Iterator[Piece]:
        """The writer's pieces, once all members have answered."""
        rows = self._candidates(dialogues, decoding)
        prompts = self._prompts(dialogues, rows)
        writer = self._writer(dialogues, rows)
        for place, piece in writer.stream(prompts, decoding, cancelled=cancelled):
            if isinstance(piece, Prediction):
                yield place, self._prediction(dialogues[place], rows[place], piece)
            else:
                yield place, piece

    def with_neighbours(self, control: str) -> Fusion:
        """The same over members whose neighbours are under a control."""
        members = {key: controlled(member, control) for key, member in self.members.items()}
        return replace(self, members=members)

    def _candidates(
        self, dialogues: Sequence[Dialogue], decoding: Decoding
    ) -> list[list[Prediction]]:
        columns = {key: one.predict(dialogues, decoding) for key, one in self.members.items()}
        return table(dialogues, columns)

    def _prompts(
        self, dialogues: Sequence[Dialogue], rows: Sequence[Sequence[Prediction]]
    ) -> list[Dialogue]:
        instruction = self.settings.instruction
        return [
            candidates.fused(dialogue, answers, instruction)
            for dialogue, answers in zip(dialogues, rows, strict=True)
        ]

    def _writer(
        self, dialogues: Sequence[Dialogue], rows: Sequence[Sequence[Prediction]]
    ) -> Answerer:
        """The writer, for ``boost`` steered to the words of each dialogue's candidates."""
        if self.settings.method == "learn":
            return self.writer
        words = {
            dialogue.id: [text for one in answers if (text := candidates.words_of(one))]
            for dialogue, answers in zip(dialogues, rows, strict=True)
        }
        return self.writer.steered(boosting(self.writer, words, self.settings.bonus))

    def _prediction(
        self, dialogue: Dialogue, answers: Sequence[Prediction], reply: Prediction
    ) -> Prediction:
        return replace(
            reply.as_of(dialogue),
            evidence=member_answers(self.members, answers),
            abstained=reply.abstained or all(one.abstained for one in answers),
            notes=candidates.wordless(answers) or None,
        )


class Fuser:
    """Learns to write one answer from what two or more members answered.

    The prompt is the same in training and asking: an instruction, then ``1. A 2. B 3. C``. What it
    learns from are members' answers to dialogues on which they were not fitted. Source: the
    LM-Fuser at ImageCLEFmedical Caption 2024, here for any number of members.
    """

    Settings: ClassVar[type[FuserSettings]] = FuserSettings
    needs_image: ClassVar[bool] = False
    wraps: Wraps = Wraps(least=2, learns=True)

    def __init__(self, settings: FuserSettings) -> None:
        self.settings = settings
        self.wraps = Wraps(least=2, learns=settings.method == "learn")
        self.text = Text(settings)
        self._candidates = len(settings.use or ()) or self.wraps.least

    @property
    def blueprint(self) -> Blueprint:
        """What its language model is built from."""
        return self.text.blueprint

    @property
    def card(self) -> HubCard:
        """How its language model's exported weights are loaded."""
        return self.text.card

    def check(self, *, validated: bool) -> None:
        """Refuse, before any data or weights are read, what cannot be fitted here."""
        self.text.check(validated=validated)

    def check_members(self, members: Mapping[str, Any]) -> None:
        """UnknownName where ``use`` names a member that there is not.

        From then on the prompts that stand in for those of the fit have as many candidates.
        """
        for name in self.settings.use or ():
            if name not in members:
                raise UnknownName("member", name, members, where="model.use")
        self._candidates = len(self.settings.use or members)

    def rehearse(self, stages: Sequence[tuple[Any, Sequence[Dialogue]]], seed: int) -> None:
        """Refuse what a fit would fail at, each reference standing in for all candidates."""
        rehearsed = [(one.text, one.imagined(train)) for one, train in stages]
        self.text.rehearse(rehearsed, seed)

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Train on members' answers and the references; ``boost`` keeps the model as it is.

        ModelError where members answered other dialogues than there are; TooLong names a dialogue
        whose candidates do not fit into the prompt.
        """
        if self.settings.method == "boost":
            self.text.fit(Lesson(self.imagined(lesson.train)), run)
            return
        rows = table(lesson.train, self._used(lesson.answers))
        total = sum((Counter(candidates.wordless(answers)) for answers in rows), Counter[str]())
        run.note(candidates=len(rows) * len(rows[0]), **total)
        train = self._fused(lesson.train, rows)
        self.text.rehearse([(self.text, train)], run.recipe().seed)
        self.text.fit(Lesson(train, validate=self._validate(lesson)), run)

    def load(
        self,
        run: Run,
        quantization: Literal["nf4", "none"] | None = None,
        *,
        members: Mapping[str, Model],
    ) -> Fusion:
        """The language model of a run over the loaded members."""
        return Fusion(self.settings, self.text.load(run, quantization), self._used(members))

    def plan(self, train: Sequence[Dialogue], seed: int) -> dict[str, Any]:
        """What a fit would do, each reference standing in for all candidates."""
        return self.text.plan(self.imagined(train), seed)

    def mask(self, train: Sequence[Dialogue], seed: int) -> Iterator[tuple[str, bool]]:
        """(token, bears loss) along the first training row, references in candidates' places."""
        yield from self.text.mask(self.imagined(train), seed)

    @classmethod
    def tiny(cls, block: Mapping[str, Any]) -> dict[str, Any]:
        """The block with a language model from small random weights; RecipeError."""
        return Text.tiny(block)

    def weigh(self) -> dict[str, Any]:
        """Parameters and least memory of the language model; members tell their own."""
        return self.text.weigh()

    def hub_weights(self) -> tuple[str, ...]:
        """The weights of the language model."""
        return self.text.hub_weights()

    def imagined(self, train: Sequence[Dialogue]) -> list[Dialogue]:
        """Prompts in which the reference stands for each candidate: what can be known before."""
        rows = [
            [Prediction.of(dialogue, dialogue.question.answers[0])] * self._candidates
            for dialogue in train
        ]
        return self._fused(train, rows)

    def _fused(
        self, train: Sequence[Dialogue], rows: Sequence[Sequence[Prediction]]
    ) -> list[Dialogue]:
        instruction = self.settings.instruction
        return [
            candidates.fused(dialogue, answers, instruction)
            for dialogue, answers in zip(train, rows, strict=True)
        ]

    def _used(self, members: Mapping[str, T]) -> dict[str, T]:
        """Those that ``use`` names, in its order; by default all."""
        return {key: members[key] for key in self.settings.use or members}

    def _validate(self, lesson: Lesson) -> Validate | None:
        """The watched score of what the language model makes of members' validation answers."""
        validate = lesson.validate
        if validate is None:
            return None
        stored = {
            key: Stored.of(answers)
            for key, answers in self._used(lesson.validation_answers).items()
        }

        def score(writer: Model) -> float:
            assert isinstance(writer, Answerer)
            return validate(Fusion(self.settings, writer, stored))

        return score
