"""From drafts and neighbours to a prompt, and from a text to an answer with what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Confidence, MemberAnswer, Neighbour, Prediction, Usage
from vesalius.combine.prompting import CitedCase
from vesalius.combine.synthesizer.briefing import Briefing
from vesalius.combine.synthesizer.synthesis import Synthesis
from vesalius.models.remote.messages import request_body
from vesalius.recipe import Decoding

NEAR = [
    CitedCase(Neighbour("n1", 0.9, "n1.png", "all"), "", "Axial CT of the chest."),
    CitedCase(Neighbour("n2", 0.8, "n2.png", "all"), "", "CT with a nodule."),
]


class Shelf:
    """Cases that are always the same."""

    def near(self, dialogues: Sequence[Dialogue]) -> list[list[CitedCase]]:
        return [list(NEAR) for _ in dialogues]


def picture() -> Picture:
    return Picture("secret-name.png", lambda: b"")


def asked() -> Dialogue:
    question = Question("Describe it.", id="q", answers=(Answer("gold"),), system="be brief")
    context = {"history": "a fall"}
    return Dialogue("d", (Turn(question, (picture(),)),), "g", case="c", context=context)


def draft(text: str = "A CT of the chest.") -> Prediction:
    return Prediction.of(asked(), Answer(text), confidence=Confidence(0.5, "half"), finish="stop")


def tags(*codes: str) -> Prediction:
    return Prediction.of(asked(), Answer(concepts=codes))


def brief(settings: Synthesis | None = None, *, seeing: bool = False, **more: Any) -> Any:
    shelf: Any = Shelf()
    briefing = Briefing(settings or Synthesis(), shelf, more.get("names", {}), seeing)
    answers = {"draft": [more.get("draft", draft())]}
    if "concepts" in more:
        answers["concepts"] = [more["concepts"]]
    (one,) = briefing.briefs([asked()], answers, more.get("fits", lambda _: True))
    return one


def written(prompt: Dialogue, text: str, finish: str = "stop") -> Prediction:
    return Prediction.of(prompt, Answer(text), finish=finish, usage=Usage(new_tokens=9))


def test_trap_a_text_only_model_given_an_image_objects_printed_name() -> None:
    prompt = brief(concepts=tags("C1")).prompt
    assert prompt.pictures == ()
    for word in ("secret-name", "Picture(", "PIL", "<image", ".png", "object at"):
        assert word not in prompt.question.text
    sent = request_body(prompt, Decoding(), "m", lambda one: one.key)
    assert "secret-name" not in str(sent)


def test_a_writer_that_sees_is_shown_the_picture_that_is_asked_about() -> None:
    prompt = brief(seeing=True).prompt
    assert prompt.pictures == (picture(),)
    assert "from the image, a draft caption" in prompt.question.text


def test_a_prompt_is_one_turn_without_system_or_context_and_keeps_its_references() -> None:
    prompt = brief().prompt
    (turn,) = prompt.turns
    assert (turn.question.answers, turn.question.id) == ((Answer("gold"),), "q")
    assert (prompt.system, dict(prompt.context), prompt.id) == (None, {}, "d")
    assert "1. Axial CT of the chest. 2. CT with a nodule." in turn.question.text


def test_the_answer_is_of_the_dialogue_and_cites_members_and_neighbours() -> None:
    one = brief(concepts=tags("C1", "C2"), names={"C1": "Chest"})
    own = one.prediction(written(one.prompt, 'Caption: "A CT of the chest."'), Synthesis())
    assert (own.text, own.question, own.picture) == (
        "A CT of the chest.",
        "Describe it.",
        "secret-name.png",
    )
    assert own.references == (Answer("gold"),)
    assert own.evidence == (
        MemberAnswer("draft", Answer("A CT of the chest."), Confidence(0.5, "half")),
        MemberAnswer("concepts", Answer(concepts=("C1", "C2"))),
        Neighbour("n1", 0.9, "n1.png", "Axial CT of the chest."),
        Neighbour("n2", 0.8, "n2.png", "CT with a nodule."),
    )
    assert "Concepts: Chest, C2 Caption:" in one.prompt.question.text  # no name: its code
    assert own.usage == Usage(new_tokens=9)
    assert own.notes == {"neighbours": 2, "fewer_than_k": 1}


def test_a_violation_is_counted_and_the_text_stays() -> None:
    one = brief()
    own = one.prediction(written(one.prompt, "Fracture. Of a rib", "length"), Synthesis())
    assert own.text == "Fracture. Of a rib"  # the last word, too
    assert own.finish == "length"
    assert own.notes == {
        "neighbours": 2,
        "fewer_than_k": 1,
        "over_sentences": 1,
        "cut": 1,
        "unsupported": 1,
        "unsupported_words": 2,  # fracture, rib
    }


def test_or_the_draft_takes_its_place() -> None:
    settings = Synthesis(violation="draft", neighbours=2)
    one = brief(settings)
    own = one.prediction(written(one.prompt, "A fracture.", "length"), settings)
    assert own.text == "A CT of the chest."
    assert (own.finish, own.confidence) == ("stop", Confidence(0.5, "half"))
    assert own.notes["draft_taken"] == own.notes["cut"] == 1
    fine = one.prediction(written(one.prompt, "CT with a nodule."), settings)
    assert (fine.text, fine.notes) == ("CT with a nodule.", {"neighbours": 2})


def test_neighbours_are_left_out_until_the_prompt_fits() -> None:
    one = brief(fits=lambda prompt: "2." not in prompt.question.text)
    assert [case.neighbour.case for case in one.cases] == ["n1"]
    own = one.prediction(written(one.prompt, "A CT."), Synthesis(neighbours=2))
    assert own.notes == {"neighbours": 1, "dropped_neighbours": 1}
    none = brief(fits=lambda _: False)
    assert "imilar" not in none.prompt.question.text
    own = none.prediction(written(none.prompt, "A CT."), Synthesis(neighbours=2))
    assert own.notes == {"neighbours": 0, "no_neighbours": 1, "dropped_neighbours": 2}
