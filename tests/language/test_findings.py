"""Findings that texts state, negate or leave open; each line is a rule of NegEx or ConText."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.data.datasets.phantom import PhantomOptions, case
from vesalius.data.phantoms.scene import table
from vesalius.language.dictionary import Entry, FindingDictionary, finding_dictionary
from vesalius.language.findings import finding_mentions, findings

EFFUSION, PNEUMOTHORAX, FRACTURE, MASS = "C0032227", "C0032326", "C0016658", "C0577559"
CARDIOMEGALY, PNEUMONIA, NODULE = "C0018800", "C0032285", "C0034079"


@pytest.mark.parametrize(
    ("text", "concept", "polarity"),
    [
        ("There is a pleural effusion.", EFFUSION, "present"),
        ("No pleural effusion.", EFFUSION, "absent"),
        ("no fracture, pneumothorax or pleural effusion", EFFUSION, "absent"),  # lists
        ("Pleural effusions are not seen.", EFFUSION, "absent"),  # after it, in the plural
        ("The pneumothorax has resolved.", PNEUMOTHORAX, "absent"),
        ("Negative for fracture.", FRACTURE, "absent"),
        ("Non-displaced fracture of the rib", FRACTURE, "present"),  # "non" reaches one word
        ("Non-contrast CT of the chest, large mass", MASS, "present"),
        ("Pleural effusion: none. A mass", EFFUSION, "absent"),  # as forms are filled in
        ("Findings: none. A mass", MASS, "present"),
        ("No fracture. Pleural effusion.", EFFUSION, "present"),  # a sentence ends the reach
        ("No fracture but a pleural effusion", EFFUSION, "present"),  # so does "but"
        ("without pneumothorax, with a pleural effusion", EFFUSION, "present"),
        ("No change in the pleural effusion.", EFFUSION, "present"),  # a pseudo-trigger
        ("not only a mass", MASS, "present"),
        ("Possible pleural effusion.", EFFUSION, "uncertain"),
        ("Opacity, likely pneumonia.", PNEUMONIA, "uncertain"),
        ("Pneumonia cannot be excluded.", PNEUMONIA, "uncertain"),  # the longer trigger
        ("Pneumonia is not completely excluded.", PNEUMONIA, "uncertain"),
        ("No pneumothorax; a fracture is suspected.", FRACTURE, "uncertain"),
        ("The heart is mildly enlarged.", CARDIOMEGALY, "present"),  # words apart, other order
        ("effusion 2.5 cm, pleural", EFFUSION, "present"),  # a point in a number ends nothing
        ("No evidence of a 2.5 cm mass", MASS, "absent"),
    ],
)
def test_polarity(text: str, concept: str, polarity: str) -> None:
    assert findings(text)[concept] == polarity


@pytest.mark.parametrize(
    "text",
    [
        "INDICATION: cough, pneumonia?\nFINDINGS: The lungs are clear.",
        "HISTORY: Rule out pneumonia.\n\nThe lungs are clear.",
        "Sensitivity to detect pneumonia is diminished.",
        "Evaluate for pneumonia.",
        "pneumococcus",
    ],
)
def test_what_was_asked_is_no_finding(text: str) -> None:
    assert PNEUMONIA not in findings(text)


def test_a_heading_goes_on_after_the_indication() -> None:
    text = "INDICATION: pneumonia. FINDINGS: pleural effusion. COMPARISON: none.\n\nA fracture."
    assert findings(text).keys() & {PNEUMONIA, EFFUSION, FRACTURE} == {EFFUSION, FRACTURE}


def test_present_counts_before_uncertain_before_absent() -> None:
    assert findings("No mass. Possible mass. A mass.")[MASS] == "present"
    assert findings("No mass. Possible mass.")[MASS] == "uncertain"
    assert [m.polarity for m in finding_mentions("No mass. Possible mass.")] == [
        "absent",
        "uncertain",
    ]


def test_a_phrase_that_excludes_beside_it_names_something_else() -> None:
    assert NODULE in findings("A nodule in the right lung.")
    assert NODULE not in findings("A thyroid nodule.")


def test_mentions_say_where_they_stand() -> None:
    text = "Chest film. No Pleural Effusion."
    (effusion,) = [one for one in finding_mentions(text) if one.concept == EFFUSION]
    assert text[effusion.start : effusion.end] == "Pleural Effusion"


def test_phantoms_captions_name_their_concepts_and_no_others_of_theirs() -> None:
    families = table()["families"].values()
    own = {cui for about in families for cui in about["concepts"]}
    own |= {kind["concept"] for about in families for kind in about["kinds"].values()}
    for index in range(60):
        phantom = case(PhantomOptions(size=32), "train", index)
        known = findings(phantom.caption or "")
        present = {cui for cui, polarity in known.items() if polarity == "present"}
        assert present & own == set(phantom.concepts or ()), phantom.caption
    assert own <= set(finding_dictionary().entries)


WORDS = "no not mass masses possible but . , ; cannot be excluded 1.5 with heart enlarged"


@given(st.lists(st.sampled_from(WORDS.split()), max_size=14))
def test_a_negation_before_a_text_makes_nothing_present(words: list[str]) -> None:
    text = " ".join(words)
    dictionary = FindingDictionary({"m": Entry("mass", ("mass",))})
    plain, negated = (findings(one, dictionary) for one in (text, f"no {text}"))
    assert plain.keys() == negated.keys()
    if negated.get("m") == "present":
        assert plain["m"] == "present"
    for mention in finding_mentions(text, dictionary):
        assert text[mention.start : mention.end] in ("mass", "masses")
