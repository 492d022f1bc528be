"""Beams ordered by how well they fit; on beams that a test writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from vesalius import Answer, Dialogue, Picture, Prediction, Question, Turn
from vesalius.cases.prediction import Confidence, MemberAnswer, Reason
from vesalius.combine.concepts.reranked import Reranked, RerankedAnswers, RerankedSettings
from vesalius.combine.evidence import SupportedAnswers
from vesalius.errors import ModelError, RecipeError
from vesalius.recipe import Decoding

ASKED = Dialogue("d", (Turn(Question("what?"), (Picture("p", lambda: b""),)),), "g", "c")
BEAMS = (("A mass.", 0.9), ("a mass.", 0.8), ("A cyst.", 0.5), ("Nothing.", 0.2))


@dataclass
class Draft:
    steerable: bool = True
    needs_image: bool = True
    wide: int = 0

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        raise AssertionError

    def steered(self, steering: Any) -> Any:
        raise AssertionError

    def alternatives(
        self, dialogues: Sequence[Dialogue], decoding: Decoding
    ) -> list[list[Prediction]]:
        self.wide = decoding.beams
        return [
            [
                Prediction.of(d, Answer(text), confidence=Confidence(sure, "beam"))
                for text, sure in BEAMS
            ]
            for d in dialogues
        ]


def like(wanted: str) -> Any:
    def similarity(dialogues: Any, texts: Any) -> Any:
        return [np.array([float(wanted in one) for one in some], np.float32) for some in texts]

    return similarity


def answer(weight: float, wanted: str = "cyst", **decoding: int) -> tuple[Prediction, Draft]:
    draft = Draft()
    settings = RerankedSettings(weight=weight)
    model = RerankedAnswers(settings, {"draft": draft}, like(wanted))
    return model.predict([ASKED], Decoding(**decoding))[0], draft


def test_the_draft_may_show_similar_cases_beside_its_answers() -> None:
    # a finished run with `retrieve` is loaded as such a model
    retriever: Any = None
    members: Any = {"draft": SupportedAnswers(Draft(), retriever)}
    model = RerankedAnswers(RerankedSettings(weight=0.5), members, like("cyst"))
    assert model.predict([ASKED], Decoding())[0].text == "A cyst."


def test_the_beam_that_fits_is_taken() -> None:
    # .5 * 0 + .5 * .9 for the mass, .5 * 1 + .5 * .5 for the cyst
    chosen, draft = answer(0.5)
    assert chosen.text == "A cyst."
    assert chosen.confidence is not None
    assert chosen.confidence.value == pytest.approx(0.75)
    assert chosen.notes == {"reranked": 1}
    draft_answer, *beams = chosen.evidence
    assert draft_answer == MemberAnswer("draft", Answer("A mass."), Confidence(0.9, "beam"))
    assert beams == [
        Reason("beam 1", "A mass.", 0.45),
        Reason("beam 2", "A cyst.", 0.75),
        Reason("beam 3", "Nothing.", 0.1),
    ]
    assert draft.wide == 4


def test_without_weight_the_drafts_own_order_stands() -> None:
    chosen, _ = answer(0.0)
    assert (chosen.text, chosen.notes) == ("A mass.", {"reranked": 0})
    assert answer(1.0, wanted="nowhere")[0].text == "A mass."  # the first of equals


def test_more_beams_of_the_recipe_are_all_ordered() -> None:
    assert answer(0.5, beams=7)[1].wide == 7


def test_a_dialogue_without_a_picture_is_refused() -> None:
    bare = Dialogue("bare", (Turn(Question("what?")),), "g")
    with pytest.raises(ModelError, match=r"bare.*no picture"):
        RerankedAnswers(RerankedSettings(), {"draft": Draft()}, like("x")).predict(
            [bare], Decoding()
        )


def test_members_that_do_not_go_with_the_similarity_are_refused() -> None:
    by_picture = Reranked(RerankedSettings())
    by_concepts = Reranked(RerankedSettings(by="concepts"))
    by_picture.check_members({"draft": Draft()})
    by_concepts.check_members({"draft": Draft(), "concepts": object()})
    with pytest.raises(RecipeError, match="do not go together"):
        by_concepts.check_members({"draft": Draft()})
    with pytest.raises(RecipeError, match="do not go together"):
        by_picture.check_members({"draft": Draft(), "concepts": object()})
    with pytest.raises(RecipeError, match="beams cannot be had"):
        by_picture.check_members({"draft": object()})
