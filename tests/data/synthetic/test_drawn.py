"""Phantoms drawn in a publisher's layout read back, through the publisher's reader, as themselves.

What a layout cannot carry is stated here, field by field: it is then absent, never invented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from vesalius.cases.case import Case
from vesalius.data import check as checking
from vesalius.data.audit import audit
from vesalius.data.cards import card
from vesalius.data.datasets import phantom
from vesalius.data.fingerprints import fingerprint
from vesalius.data.likeness import near_pairs
from vesalius.data.open import open_dataset
from vesalius.data.synthetic import Drawn, Layout, layouts
from vesalius.data.synthetic.cohort import cohort
from vesalius.data.synthetic.draw import draw, reading
from vesalius.data.synthetic.slake import CONTENT
from vesalius.data.synthetic.vqa_med import category
from vesalius.data.synthetic.vqa_rad import TYPES
from vesalius.errors import DatasetError, UnknownName

CASES = {"train": 9, "validation": 4, "test": 3}
SEED = 3


def asked(case: Case) -> set[tuple[str, str | None]]:
    return {(q.text, q.answers[0].text) for q in case.questions}


def boxed(case: Case) -> list[tuple[float, float, float, float, str]] | None:
    boxes = case.boxes
    return None if boxes is None else [(b.x, b.y, b.width, b.height, b.label) for b in boxes]


Look = Callable[[Case], object]
RADIOLOGY = {"mri": "MR", "ct": "CT", "x-ray": "X-ray"}


def categories(name: Callable[[str], object]) -> tuple[Look, Look]:
    """(of the phantom, of what was read): each question with the set's name for its type."""
    return (
        lambda phantom: {(q.text, name(str(q.category))) for q in phantom.questions},
        lambda read: {(q.text, q.category) for q in read.questions},
    )


QUESTIONS: tuple[Look, Look] = (asked, asked)
BOXES: tuple[Look, Look] = (boxed, boxed)
CAPTION: tuple[Look, Look] = (lambda p: p.caption, lambda r: r.caption)
CONCEPTS: tuple[Look, Look] = (lambda p: p.concepts, lambda r: r.concepts)
MODALITY: tuple[Look, Look] = (
    lambda p: RADIOLOGY[str(p.modality)].lower(),
    lambda r: str(r.modality).lower().replace("mri", "mr"),
)
KIND: tuple[Look, Look] = (
    lambda p: {(q.text, q.kind) for q in p.questions},
    lambda r: {(q.text, q.kind) for q in r.questions},
)
CARRIED: Mapping[str, tuple[tuple[Look, Look], ...]] = {
    "brain_tumor": (BOXES,),
    "folder": (QUESTIONS, KIND, BOXES, CAPTION, CONCEPTS),
    "image_clef": (CAPTION, CONCEPTS, MODALITY),
    "medpix": (CAPTION, MODALITY),
    "path_vqa": (QUESTIONS,),
    "roco": (CAPTION, CONCEPTS, MODALITY),
    "slake": (QUESTIONS, KIND, BOXES, MODALITY, categories(CONTENT.__getitem__)),
    "vqa_med": (QUESTIONS, categories(lambda name: category(name).lower())),
    "vqa_rad": (QUESTIONS, KIND, categories(TYPES.__getitem__)),
}
ABSENT: Mapping[str, tuple[str, ...]] = {
    "brain_tumor": ("caption", "questions", "concepts"),
    "image_clef": ("questions", "boxes"),
    "medpix": ("questions", "boxes", "concepts"),
    "path_vqa": ("caption", "boxes", "concepts", "modality"),
    "roco": ("questions", "boxes"),
    "slake": ("caption", "concepts"),
    "vqa_med": ("caption", "boxes", "concepts", "modality"),
    "vqa_rad": ("caption", "boxes", "concepts", "modality"),
}


def test_every_layout_says_what_it_carries() -> None:
    assert set(CARRIED) == set(layouts)


@pytest.fixture(params=sorted(layouts))
def drawn(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[str, Path, dict[str, list[Drawn]]]:
    layout: Layout = layouts[request.param]
    folder = draw(request.param, tmp_path / "set", cases=CASES, seed=SEED)
    return request.param, folder, cohort(layout, CASES, SEED)


def test_what_was_drawn_is_what_is_read(drawn: tuple[str, Path, dict[str, list[Drawn]]]) -> None:
    name, folder, made = drawn
    dataset = open_dataset(name, folder, options=reading(name, folder))
    assert dataset.splits() == tuple(CASES)
    for split, held in made.items():
        read = list(dataset.cases(split))
        assert len(read) == len(held) == CASES[split]
        for one, case in zip(held, read, strict=True):
            assert case.pictures[0].read() == one.picture
            for before, after in CARRIED[name]:
                assert after(case) == before(one.case), (name, case.id)
            for field in ABSENT.get(name, ()):
                assert not getattr(case, field), (name, field)


def test_nothing_is_wrong_with_it_and_nothing_leaks(
    drawn: tuple[str, Path, dict[str, list[Drawn]]],
) -> None:
    name, folder, _ = drawn
    dataset = open_dataset(name, folder, options=reading(name, folder))
    assert list(checking.check(dataset)) == []
    # With the card, the one thing to say is that the set is smaller than the published one.
    assert {f.code for f in checking.check(dataset, card=card(name))} <= {"counts"}
    found = audit(dataset)
    assert dict(found.counts) == {}
    assert found.unread == ()


@pytest.mark.parametrize("name", sorted(layouts))
def test_the_same_seed_gives_the_same_files(name: str, tmp_path: Path) -> None:
    def digests(folder: Path, seed: int) -> dict[str, str]:
        made = draw(name, folder, cases={"train": 3, "test": 1}, seed=seed)
        files = sorted(path for path in made.rglob("*") if path.is_file())
        return {f.relative_to(made).as_posix(): sha256(f.read_bytes()).hexdigest() for f in files}

    first = digests(tmp_path / "a", 1)
    assert first == digests(tmp_path / "b", 1)
    assert first != digests(tmp_path / "c", 2)


def test_look_alikes_are_passed_over() -> None:
    layout = Layout(lambda *_: None, families=("abdomen_ct",))
    made = cohort(layout, {"train": 20, "test": 10}, seed=2)
    assert {split: len(held) for split, held in made.items()} == {"train": 20, "test": 10}
    held = [one.case for part in made.values() for one in part]
    # Of one kind, all alike: some were passed over, so the last one's number is above 19.
    assert int(held[19].id.rpartition("-")[2]) > 19
    likes = [fingerprint(case.pictures[0]).thumbnail for case in held]
    assert list(near_pairs(likes, [case.id for case in held], [False] * len(held))) == []


def test_boxes_move_with_the_phantom() -> None:
    layout = Layout(lambda *_: None, families=("head_mr_t1",))
    one = next(one for one in cohort(layout, {"test": 9}, seed=5)["test"] if one.case.boxes)
    options = phantom.PhantomOptions(
        cases={"test": 9}, difficulty=0.0, families=layout.families, seed=5
    )
    plain = phantom.case(options, "test", int(one.case.id.rpartition("-")[2]))
    moved = one.case.pictures[0].pixels()
    assert moved.size == (144, 144)  # 96, and half of it around
    before, after = plain.boxes[0], one.case.boxes[0]
    left, top = round(after.x - before.x), round(after.y - before.y)
    drawn_there = plain.pictures[0].pixels()
    assert moved.crop((left, top, left + 96, top + 96)).tobytes() == drawn_there.tobytes()


def test_slake_has_questions_in_both_languages(tmp_path: Path) -> None:
    folder = draw("slake", tmp_path, cases={"train": 2, "test": 1}, seed=0)
    zh = open_dataset("slake", folder, options=reading("slake", folder, {"language": "zh"}))
    (question,) = next(zh.cases("train")).questions
    assert question.language == "zh"
    for name in ("source.jpg", "mask.png", "detection.json", "question.json"):
        assert (folder / "imgs" / "xmlab0" / name).is_file()


def test_vqa_rads_official_split_of_a_drawing_shares_no_picture(tmp_path: Path) -> None:
    folder = draw("vqa_rad", tmp_path, cases=CASES, seed=0)
    official = open_dataset("vqa_rad", folder)
    assert official.splits() == ("train", "test")
    # nine for training and four for validation are both "freeform": the file knows no third split
    assert len(list(official.cases("train"))) == 13
    assert dict(audit(official).counts) == {}


def test_medpix_tells_the_history_and_nothing_that_gives_the_answer_away(tmp_path: Path) -> None:
    folder = draw("medpix", tmp_path, cases={"train": 6}, seed=0)
    cases = list(open_dataset("medpix", folder).cases("train"))
    assert all(set(case.context) == {"history"} for case in cases)
    # two pictures of one patient have one history, as in MedPix itself
    assert len({case.group for case in cases}) < len(cases)


def test_options_that_speak_of_the_publishers_files_are_left_out(tmp_path: Path) -> None:
    given = {"language": "all", "split_file": "mine.jsonl"}
    assert reading("slake", tmp_path, given) == {"language": "all"}
    assert reading("vqa_med", tmp_path, {"year": 2021}) == {}
    assert reading("brain_tumor", tmp_path, {"layout": "yolo", "negatives": False}) == {
        "layout": "coco",
        "negatives": False,
    }


def test_a_set_without_a_drawn_form_and_a_folder_in_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="drawing called 'dicom'"):
        draw("dicom", tmp_path / "a", cases={"train": 1}, seed=0)
    with pytest.raises(UnknownName, match="did you mean validation"):
        draw("roco", tmp_path / "a", cases={"valid": 1}, seed=0)
    (tmp_path / "note.txt").touch()
    with pytest.raises(DatasetError, match="not empty"):
        draw("roco", tmp_path, cases={"train": 1}, seed=0)
