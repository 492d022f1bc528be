"""Writing an index: every picture of a case once, whole or not at all, and on after a kill."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from vesalius.cases import image
from vesalius.cases.case import Answer, Box, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.combine.retrieval import indexing
from vesalius.combine.retrieval.index import Index
from vesalius.errors import ImageError, ModelError, RunError
from vesalius.models.feature_cache import FeatureCache, sharing
from vesalius.recipe import Retrieve
from vesalius.system.files import read_json, read_lines

torch.set_num_threads(1)


def picture(key: str, seed: int, *, grey: bool = True, fmt: str = "PNG") -> Picture:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (6, 4, 1 if grey else 3), dtype=np.uint8)
    image = Image.fromarray(np.broadcast_to(small, (6, 4, 3)).copy()).resize((60, 90))
    file = BytesIO()
    image.save(file, fmt)
    return Picture(key, file.getvalue)


def asked(case: str, pairs: dict[str, str], *shown: Picture, group: str = "") -> Dialogue:
    turns = [
        Turn(Question(question, answers=(Answer(text=answer),)), shown if at == 0 else (), None)
        for at, (question, answer) in enumerate(pairs.items())
    ]
    closed = tuple(Turn(t.question, t.pictures, t.question.answers[0]) for t in turns[:-1])
    return Dialogue(f"{case}/d", (*closed, turns[-1]), group=group or case, case=case)


def many(count: int) -> list[Dialogue]:
    return [asked(f"C{n}", {"which?": f"number {n}"}, picture(f"p{n}", n)) for n in range(count)]


def test_every_picture_of_a_case_stands_once_with_all_that_was_said() -> None:
    front, side = picture("front", 1), picture("side", 2)
    found = indexing.index_entries(
        [
            asked("A", {"what organ?": "lung", "which plane?": "axial"}, front, side, group="P"),
            asked("A", {"is it normal?": "no", "what organ?": "lung"}, front, group="P"),
            asked("B", {"what organ?": "liver"}, front, group="Q"),  # B shows it, too
        ]
    )
    assert [(e.item.case, e.item.key, e.item.group) for e in found] == [
        ("A", "front", "P"), ("A", "side", "P"), ("B", "front", "Q"),
    ]  # fmt: skip
    organ, plane, normal = (
        ["what organ?", "lung"], ["which plane?", "axial"], ["is it normal?", "no"],
    )  # fmt: skip
    assert found[0].row() == {"said": [organ, plane, normal], "more": 0}
    assert found[1].row()["said"] == [organ, plane]


def test_an_instruction_is_not_a_question_and_boxes_are_counted() -> None:
    said = "Describe this image."
    boxes = tuple(Box(1, 1, 2, 2, label) for label in ("mass", "rib", "mass"))
    turns = [
        (Answer(text="a chest"), [["", "a chest"]]),
        (Answer(boxes=boxes), [["", "2 mass, 1 rib"]]),
        (Answer(boxes=()), [["", "nothing marked"]]),
        (Answer(concepts=("C1", "C2")), [["", "C1, C2"]]),
        (Answer(text=" "), []),
    ]
    for answer, expected in turns:
        turn = Turn(Question(said, answers=(answer,)), (picture("p", 1),))
        found = indexing.index_entries([Dialogue("d", (turn,), group="g")], said)
        assert found[0].row()["said"] == expected
        assert found[0].item.case == "d"


def test_long_things_are_cut() -> None:
    pairs = {f"question {n}?": "word " * 200 for n in range(indexing.PAIRS + 3)}
    row = indexing.index_entries([asked("A", pairs, picture("p", 1))])[0].row()
    assert row["more"] == 3
    assert len(row["said"]) == indexing.PAIRS
    assert all(len(answer) <= indexing.ANSWER for _, answer in row["said"])
    assert row["said"][0][1].endswith(" …")


def test_thumbnails_are_small_pngs_of_one_channel_where_grey(tmp_path) -> None:
    train = [
        asked("A", {"q": "a"}, picture("grey", 1)),
        asked("B", {"q": "b"}, picture("coloured", 2, grey=False)),
    ]
    entries = indexing.index_entries(train)
    facts = indexing.write_index(tmp_path / "index", entries, Retrieve(thumbnails=30), {"a": 1})
    assert (facts["a"], facts["pictures"], facts["cases"], facts["groups"]) == (1, 2, 2, 2)
    data = (tmp_path / "index" / "thumbnails.bin").read_bytes()
    rows = [row for _, row in read_lines(tmp_path / "index" / "cases.jsonl")]
    small = [Image.open(BytesIO(data[slice(*row["thumbnail"])])) for row in rows]
    assert [(i.format, i.size, i.mode) for i in small] == [
        ("PNG", (20, 30), "L"), ("PNG", (20, 30), "RGB"),
    ]  # fmt: skip
    assert rows[-1]["thumbnail"][1] == len(data)


def test_without_thumbnails_there_is_no_picture_in_it(tmp_path) -> None:
    indexing.write_index(tmp_path / "index", indexing.index_entries(many(2)), Retrieve(), {})
    names = sorted(p.name for p in (tmp_path / "index").iterdir())
    assert names == [
        "about.json",
        "cases.jsonl",
        "index.json",
        "index.jsonl",
        "index.safetensors",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["index"]  # no parts, nothing beside it


def test_a_killed_indexing_goes_on_and_gives_the_same(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(indexing, "PART", 3)
    settings = Retrieve(thumbnails=16)
    whole = indexing.write_index(tmp_path / "whole", indexing.index_entries(many(8)), settings, {})
    reads: list[str] = []

    def counted(picture: Picture) -> Picture:
        def read() -> bytes:
            if killed and len(reads) == 7:
                raise KeyboardInterrupt
            reads.append(picture.key)
            return picture.read()

        return Picture(picture.key, read)

    entries = [
        replace(entry, picture=counted(entry.picture)) for entry in indexing.index_entries(many(8))
    ]
    killed = True
    with pytest.raises(KeyboardInterrupt):
        indexing.write_index(tmp_path / "index", entries, settings, {})
    assert not (tmp_path / "index").exists()
    assert reads == [f"p{n}" for n in range(7)]
    killed = False
    assert indexing.write_index(tmp_path / "index", entries, settings, {}) == whole
    assert reads[7:] == ["p6", "p7"]  # the parts of three that were whole are not read again
    for name in ("index.safetensors", "index.jsonl", "cases.jsonl", "thumbnails.bin"):
        assert (tmp_path / "index" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_parts_of_other_pictures_are_not_taken(tmp_path, monkeypatch) -> None:
    entries, others = indexing.index_entries(many(2)), indexing.index_entries(many(3)[1:])
    parts = tmp_path / ".index.parts"
    indexing._begin(parts, others, Retrieve())
    indexing._encoded(parts, others, Retrieve())
    indexing.write_index(tmp_path / "index", entries, Retrieve(), {})
    indexing.write_index(tmp_path / "fresh", entries, Retrieve(), {})
    ours, fresh = (Index.load(tmp_path / name) for name in ("index", "fresh"))
    assert np.array_equal(ours.vectors, fresh.vectors)


def test_a_new_index_replaces_the_old_when_it_is_complete(tmp_path) -> None:
    folder = tmp_path / "index"
    indexing.write_index(folder, indexing.index_entries(many(2)), Retrieve(), {})
    broken = [*many(2), asked("X", {"q": "a"}, Picture("broken", lambda: b"no picture"))]
    with pytest.raises(ImageError, match="broken"):
        indexing.write_index(folder, indexing.index_entries(broken), Retrieve(), {})
    assert read_json(folder / "about.json")["pictures"] == 2
    indexing.write_index(folder, indexing.index_entries(many(3)), Retrieve(), {})
    assert read_json(folder / "about.json")["pictures"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["index"]


def test_a_torn_part_and_a_full_disk_are_told(tmp_path, monkeypatch) -> None:
    entries, parts = indexing.index_entries(many(1)), tmp_path / ".index.parts"
    indexing._begin(parts, entries, Retrieve())
    (parts / "00000000.safetensors").write_bytes(b"torn")
    with pytest.raises(RunError, match=r"not a part of an index.*remove"):
        indexing.write_index(tmp_path / "index", entries, Retrieve(), {})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(indexing, "write_atomic", full)
    with pytest.raises(RunError, match="the disk is full: the index could not be saved"):
        indexing.write_index(tmp_path / "other", entries, Retrieve(), {})


def test_what_cannot_be_indexed_is_refused_beforehand(tmp_path) -> None:
    blind = Dialogue("d", (Turn(Question("q", answers=(Answer(text="a"),))),), group="g")
    with pytest.raises(ModelError, match="nothing to index"):
        indexing.ready(Retrieve(), [blind])
    indexing.ready(Retrieve(), [blind, *many(1)])
    with pytest.raises(ModelError, match="no such encoder"):
        indexing.ready(Retrieve(encoder=str(tmp_path)), many(1))


@pytest.mark.parametrize("cached", [False, True])
def test_a_picture_is_read_and_decoded_once(tmp_path, monkeypatch, cached) -> None:
    reads, decodes = [], []
    one = picture("p", 77)  # of no other test: an encoder remembers what it saw
    counted = Picture("p", lambda: reads.append("p") or one.read())
    train = [asked("A", {"q": "a"}, counted), asked("A", {"r": "b"}, counted)]
    monkeypatch.setattr(indexing, "HELD", 1)
    entries, settings = indexing.index_entries(train), Retrieve(thumbnails=16)
    with sharing(FeatureCache(tmp_path / "features", 2**20)):
        if cached:  # the vector is there, so nobody decodes the picture but for its thumbnail
            indexing.write_index(tmp_path / "first", entries, settings, {})
            reads.clear()
        decode = image.decode
        monkeypatch.setattr(image, "decode", lambda *a, **k: decodes.append(a) or decode(*a, **k))
        indexing.write_index(tmp_path / "index", entries, settings, {})
    assert reads == ["p"]
    assert len(decodes) == 1
    small = Image.open(tmp_path / "index" / "thumbnails.bin")
    assert small.size == (11, 16)


def test_what_was_said_is_whole_where_the_settings_want_it(tmp_path) -> None:
    pairs = {f"{'is it so? ' * 40}{number}": "very long " * 100 for number in range(9)}
    entries = indexing.index_entries([asked("A", pairs, picture("a", 1))])
    (short,) = [entry.row() for entry in entries]
    assert (len(short["said"]), short["more"]) == (8, 1)
    assert max(len(answer) for _, answer in short["said"]) <= 400
    indexing.write_index(tmp_path / "index", entries, Retrieve(whole=True), {})
    ((_, row),) = read_lines(tmp_path / "index" / indexing.CASES)
    assert row["said"] == [[question, answer.strip()] for question, answer in pairs.items()]
    assert row["more"] == 0


def test_settings_that_were_not_there_do_not_change_what_an_old_recipe_is() -> None:
    assert "whole" not in Retrieve().model_dump()
    assert Retrieve(whole=True).model_dump()["whole"]
