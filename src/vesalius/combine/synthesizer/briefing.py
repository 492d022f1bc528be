"""From drafts and similar cases to what a writer is asked, and from its text to the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.prediction import MemberAnswer, Prediction
from vesalius.combine.members import member_answers, named_concepts, table
from vesalius.combine.prompting import Cases, CitedCase, fitting
from vesalius.combine.synthesizer.synthesis import Synthesis, cleaned, violations, writer_prompt

DRAFT, WRITER, CONCEPTS = "draft", "writer", "concepts"
"""What the members are called."""


@dataclass(frozen=True, slots=True)
class Brief:
    """A dialogue, what members said of it, and the prompt with the cases that it tells of."""

    asked: Dialogue
    draft: Prediction
    members: tuple[MemberAnswer, ...]
    concepts: tuple[str, ...]
    prompt: Dialogue
    cases: tuple[CitedCase, ...]
    near: int
    """Neighbours that passed the threshold."""

    def prediction(self, written: Prediction, settings: Synthesis) -> Prediction:
        """What the writer wrote as the answer to the dialogue, looked at, with what it rests on."""
        text = cleaned(written.text)
        sources = [self.draft.text, *(case.answer for case in self.cases), *self.concepts]
        counts = violations(text, written.finish, sources, settings)
        taken = bool(counts) and settings.violation == "draft"
        best = self.draft if taken else replace(written, answer=Answer(text=text))
        own = {
            "neighbours": len(self.cases),
            "no_neighbours": int(not self.cases),
            "fewer_than_k": int(self.near < settings.neighbours),
            "dropped_neighbours": self.near - len(self.cases),
            "draft_taken": int(taken),
        }
        notes = {key: count for key, count in own.items() if count or key == "neighbours"}
        cited = (replace(case.neighbour, text=case.answer) for case in self.cases)
        return replace(
            best.as_of(self.asked),
            evidence=(*self.members, *cited),
            usage=written.usage,
            notes={**notes, **counts},
        )


@dataclass(frozen=True, slots=True)
class Briefing:
    """How briefs are made; the same for training a writer and for asking it.

    ``names``: of concepts, by identifier; one without a name is told as it is. ``seeing``: the
    prompt comes with the pictures; otherwise it is words, and names none.
    """

    settings: Synthesis
    cases: Cases
    names: Mapping[str, str] = field(default_factory=dict)
    seeing: bool = False

    def controlled(self, control: str) -> Briefing:
        """The same with neighbours under a control."""
        return replace(self, cases=self.cases.controlled(control))

    def briefs(
        self,
        dialogues: Sequence[Dialogue],
        answers: Mapping[str, Sequence[Prediction]],
        fits: Callable[[Dialogue], bool],
    ) -> list[Brief]:
        """A brief for each dialogue from its members' answers; cases are left out until it fits."""
        near = self.cases.near(dialogues)
        columns = {key: answers[key] for key in (DRAFT, CONCEPTS) if key in answers}
        rows = table(dialogues, columns)
        return [
            self._brief(dialogue, dict(zip(columns, given, strict=True)), some, fits)
            for dialogue, given, some in zip(dialogues, rows, near, strict=True)
        ]

    def _brief(
        self,
        dialogue: Dialogue,
        given: Mapping[str, Prediction],
        near: Sequence[CitedCase],
        fits: Callable[[Dialogue], bool],
    ) -> Brief:
        draft, concepts = given[DRAFT], self._concepts(given.get(CONCEPTS))

        def prompt(some: Sequence[CitedCase]) -> Dialogue:
            texts = [case.answer for case in some]
            words = writer_prompt(draft.text, texts, concepts, self.settings, seeing=self.seeing)
            return writer_dialogue(dialogue, words, seeing=self.seeing)

        whole, cases = fitting(near, prompt, fits)
        members = member_answers(given, list(given.values()))
        return Brief(dialogue, draft, members, concepts, whole, cases, len(near))

    def _concepts(self, prediction: Prediction | None) -> tuple[str, ...]:
        codes = () if prediction is None else named_concepts(CONCEPTS, prediction)
        return tuple(self.names.get(code, code) for code in codes)


def writer_dialogue(dialogue: Dialogue, words: str, *, seeing: bool) -> Dialogue:
    """What a writer is asked: one turn, the pictures only for one that sees.

    References stay, to be learnt from; context does not, since the draft was written with it.
    """
    question = replace(dialogue.question, text=words, options=None, shows=(), system=None)
    turn = Turn(question, dialogue.study if seeing else ())
    return replace(dialogue, turns=(turn,), context={}, examples=0)
