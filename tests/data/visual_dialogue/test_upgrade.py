"""One case's dialogue."""

from __future__ import annotations

from vesalius.data.visual_dialogue.upgrade import upgrade

PAIRS = (
    ("what abnormality is seen?", "cyst", "abnormality"),
    ("is there a cyst?", "yes", "presence"),
    ("what plane is this?", "axial", "plane"),
    ("what modality is this?", "ct", "modality"),
    ("is there a mass?", "no", "presence"),
    ("is there a cyst?", "yes", "presence"),
)


def test_it_asks_in_order_and_ends_with_the_summary(case):
    done = upgrade(case(*PAIRS))
    asked = done.case.questions
    assert [q.category for q in asked] == [
        "modality", "plane", "presence", "presence", "abnormality", "summary",
    ]  # fmt: skip
    assert [q.text for q in asked[2:4]] == ["is there a cyst?", "is there a mass?"]  # as they came
    assert asked[-1].text == "Describe the image."
    assert asked[-1].answers[0].text == "Axial CT. It shows a cyst, but no mass."
    assert [d.kind for d in done.dropped] == ["duplicate"]
    assert (done.case.group, done.case.pictures) == ("g", case().pictures)


def test_ids_are_unique_and_a_taken_one_is_not_taken(case, pair):
    from dataclasses import replace

    original = case(*PAIRS[:2])
    named = tuple(replace(q, id="summary") for q in original.questions)
    ids = [q.id for q in upgrade(replace(original, questions=named)).case.questions]
    assert len(set(ids)) == 3


def test_nothing_to_say_is_no_turn(case):
    done = upgrade(case(("Can x rays be used to find lesions?", "no")))
    assert (done.summary.text, len(done.case.questions)) == ("", 1)


def test_an_upgraded_case_stays_as_it_is(case):
    once = upgrade(case(*PAIRS)).case
    assert upgrade(once).case == once


def test_a_writer_is_checked(case):
    good = upgrade(case(*PAIRS), lambda _: "An axial CT shows a cyst and no mass.")
    assert good.summary.text == "An axial CT shows a cyst and no mass."
    bad = upgrade(case(*PAIRS), lambda _: "An axial CT shows a mass.")
    assert bad.unsupported == ("An axial CT shows a mass.",)
    assert bad.summary.text == "Axial CT. It shows a cyst, but no mass."
