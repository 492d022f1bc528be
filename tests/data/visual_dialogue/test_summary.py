"""Summaries: what a stranger reads, and that no word is without a pair."""

from __future__ import annotations

import pytest

from vesalius.data.open import open_dataset
from vesalius.data.visual_dialogue.rewriting import assertion_of, follows, sentences
from vesalius.data.visual_dialogue.summary import summarise
from vesalius.data.visual_dialogue.upgrade import SUMMARY, upgrade

# Pairs of the public sets (and of the phantoms), and the summary of each.
TOLD = {
    "Axial T2-weighted MRI of the brain. It shows two haemorrhages; the abnormality is on the left "
    "and is small.": [
        ("with which modality was this picture made?", "mri"),
        ("is this an mri scan?", "yes"),
        ("is this t1 or t2 weighted?", "t2"),
        ("what is the imaging plane?", "axial"),
        ("which part of the body is shown?", "brain"),
        ("is there a haemorrhage?", "yes"),
        ("is there anything abnormal?", "yes"),
        ("on which side of the patient is the abnormality?", "left"),
        ("what is the number of haemorrhages?", "two"),
        ("what size is the abnormality?", "small"),
    ],
    "Axial CT of the gastrointestinal system with IV contrast. It shows abdominal abscess.": [
        ("what imaging modality was used to take this image?", "ct with iv contrast"),
        ("in what plane is this ct scan taken?", "axial"),
        ("what organ system is shown in this ct scan?", "gastrointestinal"),
        ("what is most alarming about this ct scan?", "abdominal abscess"),
    ],
    "Lateral plain film x-ray of the lung, mediastinum and pleura.": [
        ("how was this image taken?", "xr - plain film"),
        ("what is the plane?", "lateral"),
        ("what organ system is visualized?", "lung, mediastinum, pleura"),
    ],
    "Axial image of the brain, not a CT image. It shows swelling of the grey matter, but no skull "
    "fracture; the abnormality is in the left temporal lobe.": [
        ("Is this a CT image?", "no"),
        ("In what plane is this image oriented?", "Axial"),
        ("Is this the brain?", "yes", "ORGAN"),
        ("Is there swelling of the grey matter?", "yes"),
        ("Is there a skull fracture pictured?", "No"),
        ("Where is the abnormality?", "left temporal lobe"),
    ],
    "The image shows mass effect, but no fracture and no cyst; the cerebellum is not present.": [
        ("Is there mass effect?", "yes"),
        ("Is a fracture present?", "No"),
        ("Is there a fracture?", "No"),  # in other words: said once
        ("Can a cyst be seen?", "no"),
        ("Is the cerebellum present in the image?", "no"),
    ],
    "CT without GI contrast. It shows one lesion; the lesion is on the right; the liver is not "
    "normal in size; the composition of the mass is fat.": [
        ("is this a ct scan?", "yes"),
        ("was gi contrast given to the patient?", "no"),
        ("how many lesions can be seen?", "one"),
        ("which side shows lesions?", "right"),
        ("Is the liver normal in size?", "No"),
        ("what is the composition of the mass?", "fat"),
    ],
    "The image shows no abnormality.": [("is there anything abnormal?", "no")],
    "The image shows an abnormality.": [("Is this image normal?", "No")],
    "Chest x-ray. The abnormal kidney is the right kidney; the mass measures 5 cm; the skull does "
    "not appear fractured.": [
        ("What type of image is this?", "Chest X-ray"),
        ("Which kidney is abnormal?", "Right kidney"),
        ("How big is the mass?", "5 cm"),
        ("Does the skull appear fractured?", "No"),
    ],
}


@pytest.mark.parametrize(("text", "pairs"), TOLD.items(), ids=[*map(str, range(len(TOLD)))])
def test_it_reads_like_this(pair, text, pairs):
    found = summarise([pair(*each) for each in pairs])
    assert found.text == text
    assert (found.worded, found.pairs) == (len(pairs), len(pairs))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Can a patient with a metal implant get a CXR?", "yes"),
        ("Is there contrast present in the bowel?", "In the bowel"),  # neither yes nor no
        ("How common is bilateral Wilms?", "Not sure."),
        ("Is this an infectious process?", "Maybe"),
        ("Is this a typical liver?", "No"),
        ("What is the mass?", "word " * 30),
    ],
)
def test_what_cannot_be_worded_stays_in_its_turn(pair, question, answer):
    found = summarise([pair(question, answer)])
    assert (found.text, found.worded, found.pairs) == ("", 0, 1)


def test_another_language_is_not_read(pair):
    assert summarise([pair("is there a cyst?", "yes", language="zh")]).text == ""


def test_every_sentence_of_the_phantoms_follows_from_their_pairs():
    # two sentences each; the checker that judges other writers finds nothing to object to
    dataset = open_dataset("phantom", options={"cases": {"train": 150}, "size": 32})
    for drawn in dataset.cases("train"):
        done = upgrade(drawn)
        *pairs, closing = done.case.questions
        assert closing.category == SUMMARY
        assert done.summary.worded == len(pairs) == len(drawn.questions)
        told = [assertion_of(question) for question in pairs]
        said = sentences(done.summary.text)
        assert len(said) == 2
        assert all(follows(sentence, told) for sentence in said), done.summary.text
