"""Cases by words: by what was said of them, by findings, and by how they look."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.combine.retrieval import indexing
from vesalius.combine.retrieval.retrieve import Retriever
from vesalius.combine.retrieval.words import texts_of
from vesalius.errors import ModelError, RecipeError
from vesalius.recipe import Data, Recipe, Retrieve
from vesalius.run import Run
from vesalius.settings import validated

torch.set_num_threads(1)
ASK = "Describe this image."


def drawn(discs: int, key: str) -> Picture:
    image = Image.new("RGB", (96, 96))
    for n in range(discs):
        ImageDraw.Draw(image).ellipse((6 + 30 * n, 30, 30 + 30 * n, 60), fill="white")
    file = BytesIO()
    image.save(file, "PNG")
    return Picture(key, file.getvalue)


def case(name: str, discs: int, caption: str) -> Dialogue:
    turn = Turn(Question(ASK, answers=(Answer(text=caption),)), (drawn(discs, f"{name}.png"),))
    return Dialogue(name, (turn,), group=name, case=name)


TRAIN = [
    case("A", 1, "Enlarged heart, unchanged. No effusion."),
    case("B", 2, "Fracture of the left wrist, compared with the prior film."),
    case("C", 3, "A mass in the liver, and gallstones."),
]


def written(folder, **settings) -> Retriever:
    run = Run.create(folder, Recipe(name="r", data=Data(dataset="none"), model={"name": "m"}))
    entries = indexing.index_entries(TRAIN, ASK)
    indexing.write_index(run.index, entries, Retrieve(threshold=-1, **settings), {})
    return Retriever.load(run)


@pytest.fixture(scope="module")
def by_finding(tmp_path_factory) -> Retriever:
    head = {"dimension": 4, "epochs": 80}
    folder = tmp_path_factory.mktemp("words") / "run"
    return written(folder, by="finding", sentences="minilm", image_text=head)


def test_a_text_finds_the_case_of_which_the_like_was_said(by_finding) -> None:
    heart, wrist = by_finding.by_words(["cardiomegaly", "broken wrist"], 2)
    assert (heart[0].case, heart[0].text) == ("A", "Enlarged heart")
    assert wrist[0].case == "B"
    assert len(heart) == len(wrist) == 2
    assert heart[0].similarity > heart[1].similarity
    assert by_finding.by_words([]) == []


def test_neighbours_are_told_by_findings_without_comparisons(by_finding) -> None:
    (near,) = by_finding.neighbours([drawn(1, "new")], 3)
    told = {one.case: one.text for one in near}
    assert told == {
        "A": "Enlarged heart; No effusion",
        "B": "Fracture of the left wrist",
        "C": "A mass in the liver; gallstones",
    }
    assert by_finding.pairs(near[0])[0][1] == "Enlarged heart, unchanged. No effusion."


def test_words_find_pictures_and_pictures_words(by_finding) -> None:
    (near,) = by_finding.by_words(["gallstones"], 1, pictures=True)
    assert near[0].case == "C"
    (words,) = by_finding.words_for([drawn(2, "new")], 1)
    assert words[0].case == "B"
    for excluded in ({"exclude_groups": [words[0].case]}, {"exclude_keys": [words[0].picture]}):
        (others,) = by_finding.words_for([drawn(2, "new")], 3, **excluded)
        assert "B" not in {one.case for one in others}
    cosines = by_finding.similarities([drawn(3, "new")], ["gallstones", "Enlarged heart"])
    assert cosines.shape == (1, 2)
    assert cosines[0, 0] > cosines[0, 1]


def test_by_caption_the_whole_is_one_text(tmp_path) -> None:
    whole = written(tmp_path / "run", sentences="minilm")
    ((near,),) = whole.by_words(["cardiomegaly"], 1)
    assert near.text == "Enlarged heart, unchanged. No effusion."
    with pytest.raises(ModelError, match="no space in common"):
        whole.by_words(["cardiomegaly"], pictures=True)


def test_an_index_without_words_says_so(tmp_path) -> None:
    bare = written(tmp_path / "run")
    with pytest.raises(ModelError, match="not searched by words"):
        bare.by_words(["mass"])
    with pytest.raises(ModelError, match="at least one"):
        bare.by_words(["mass"], 0)


def test_a_head_needs_sentences() -> None:
    with pytest.raises(RecipeError, match="image_text needs sentences"):
        validated(Retrieve, {"image_text": {}}, where="retrieve")


def test_a_question_stays_with_its_answer_and_a_caption_is_cut() -> None:
    pairs = [("what organ?", "liver, stable"), ("", "A mass, and stable gallstones")]
    assert list(texts_of(pairs, "finding")) == ["what organ? liver, stable", "A mass", "gallstones"]
    assert list(texts_of(pairs, "caption")) == [
        "what organ? liver, stable\nA mass, and stable gallstones"
    ]
    assert list(texts_of([], "caption")) == []


def test_words_of_another_sentence_encoder_are_refused(by_finding, monkeypatch) -> None:
    words = by_finding._words
    facts = type(words.index.facts)("minilm", "0" * 64)
    monkeypatch.setattr(words.index, "facts", facts)
    monkeypatch.delitem(words.__dict__, "sentences", raising=False)
    with pytest.raises(ModelError, match=r"made with minilm.*other weights"):
        by_finding.by_words(["mass"])
    monkeypatch.undo()
    assert np.isfinite(by_finding.by_words(["mass"])[0][0].similarity)
