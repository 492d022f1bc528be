"""Similar cases: exact, of other patients, told once a case, and refused where files are bad."""

from __future__ import annotations

import json
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.combine.retrieval import indexing
from vesalius.combine.retrieval.guard import SAME
from vesalius.combine.retrieval.index import Index, Item
from vesalius.combine.retrieval.retrieve import IndexedCase, Retriever, same_picture
from vesalius.errors import ImageError, ModelError, RunError, UnknownName
from vesalius.models.encoders import image_encoder
from vesalius.recipe import Data, Recipe, Retrieve
from vesalius.run import Run

torch.set_num_threads(1)
ALL = Retrieve(threshold=-1.0, thumbnails=24)


def drawing(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (5, 5), dtype=np.uint8)
    return Image.fromarray(small).resize((80, 80), Image.Resampling.BICUBIC).convert("RGB")


def stored(image: Image.Image, key: str, fmt: str = "PNG", **said) -> Picture:
    file = BytesIO()
    image.save(file, fmt, **said)
    return Picture(key, file.getvalue)


def case(name: str, *pictures: Picture) -> Dialogue:
    turn = Turn(Question("which?", answers=(Answer(text=f"it is {name}"),)), pictures)
    return Dialogue(f"{name}/1", (turn,), group=name.partition("-")[0], case=name)


# Patient A has two cases, B-1 has three pictures, the others one each.
TRAIN = [
    case("A-1", stored(drawing(1), "a1")),
    case("A-2", stored(drawing(2), "a2")),
    case("B-1", *(stored(drawing(seed), f"b{seed}") for seed in (3, 4, 5))),
    *(case(f"{name}-1", stored(drawing(10 + n), name)) for n, name in enumerate("CDEFG")),
]


def written(folder, settings: Retrieve = ALL, train=TRAIN) -> Run:
    run = Run.create(folder, Recipe(name="r", data=Data(dataset="none"), model={"name": "m"}))
    indexing.write_index(run.index, indexing.index_entries(train), settings, {"split": "train"})
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return written(tmp_path_factory.mktemp("retrieve") / "run")


@pytest.fixture(scope="module")
def retriever(run) -> Retriever:
    found = Retriever.load(run)
    assert found is not None
    return found


def test_neighbours_are_those_of_a_search_by_hand(retriever) -> None:
    new = [stored(drawing(seed), f"new{seed}") for seed in range(100, 106)]
    entries = indexing.index_entries(TRAIN)
    encoder = image_encoder()
    cosines = encoder.embed(new) @ encoder.embed([e.picture for e in entries]).T
    for found, row in zip(retriever.neighbours(new, 4), cosines, strict=True):
        best = {}
        for entry, cosine in zip(entries, row, strict=True):
            best[entry.item.case] = max(best.get(entry.item.case, -1.0), float(cosine))
        expected = sorted(best.items(), key=lambda one: -one[1])[:4]
        assert [n.case for n in found] == [name for name, _ in expected]
        assert [n.similarity for n in found] == pytest.approx([c for _, c in expected], abs=1e-5)


def test_a_case_is_told_once_by_its_nearest_picture_with_what_was_said(retriever) -> None:
    found = retriever.neighbours([stored(drawing(4), "again")], 7)[0]
    assert len(found) == 7  # all cases, though the index has nine pictures
    assert len({n.case for n in found}) == 7
    first = found[0]
    assert (first.case, first.picture, first.text) == ("B-1", "b4", "which? it is B-1")
    assert len(retriever) == 10


def test_neither_the_patient_nor_the_picture_that_is_named(retriever) -> None:
    shown = [stored(drawing(1), "a1")] * 4
    groups, keys = ["A", "", "C", ""], ["", "a1", "", ""]
    no_a, no_a1, no_c, every = retriever.neighbours(
        shown, 50, exclude_groups=groups, exclude_keys=keys
    )
    assert {n.case[0] for n in no_a} == set("BCDEFG")
    assert {n.case for n in every} - {n.case for n in no_a1} == {"A-1"}
    assert "C-1" not in {n.case for n in no_c}
    assert len(every) == 8


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF", "WEBP"])
def test_a_training_picture_that_comes_back_is_told_or_left_out_with_its_patient(
    retriever, fmt
) -> None:
    lossless = {"lossless": True} if fmt == "WEBP" else {}
    back = stored(drawing(1), "upload.x", fmt, **lossless)
    told = retriever.neighbours([back], 3)[0]
    assert told[0].case == "A-1"
    assert [same_picture(n) for n in told] == [True, False, False]
    others = retriever.neighbours([back], 50, others=True)[0]
    assert {n.case[0] for n in others} == set("BCDEFG")
    assert not any(map(same_picture, others))


@pytest.mark.parametrize("change", [lambda i: i.resize((50, 50)), lambda i: i.rotate(180)])
def test_a_near_duplicate_is_left_out_of_the_others_with_its_patient(retriever, change) -> None:
    back = stored(change(drawing(1)), "upload")
    (plain,), (others,) = (
        retriever.neighbours([back], 50),
        retriever.neighbours([back], 50, others=True),
    )
    assert {"A-1", "A-2"} <= {n.case for n in plain}
    assert {n.case[0] for n in others} == set("BCDEFG")
    (unguarded,) = retriever.controlled("unguarded").neighbours([back], 50, others=True)
    assert unguarded == plain


def test_the_neighbours_end_where_similarity_drops(tmp_path) -> None:
    class Hits(Retriever):
        """Neighbours at .95, .93, .92, .80 and .79."""

        def _see(self, pictures, *, guarded):
            return np.array([[1.0, 0.0]], np.float32), None

    cosines = np.array([0.95, 0.93, 0.92, 0.80, 0.79], np.float32)
    vectors = np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)
    index = Index(vectors, [Item(f"c{n}", f"p{n}", f"g{n}") for n in range(5)])
    cases = [IndexedCase(f"case {n}", None) for n in range(5)]

    def told(**settings) -> list[str]:
        some = Hits(index, cases, Retrieve(**settings)).neighbours([stored(drawing(1), "x")], 5)
        return [one.case for one in some[0]]

    assert told(drop=0.05) == ["c0", "c1", "c2"]  # .92 - .80 = .12
    assert told(drop=0.015) == ["c0"]  # .95 - .93 = .02
    assert told(drop=0.2) == told() == ["c0", "c1", "c2", "c3", "c4"]
    assert told(drop=0.05, threshold=0.94) == ["c0"]


def test_an_index_of_another_encoder_is_refused_in_a_line(tmp_path) -> None:
    run = written(tmp_path / "run")
    facts = json.loads((run.index / "index.json").read_text())
    assert facts["encoder"] == "efficientnet_lite0"
    (run.index / "index.json").write_text(json.dumps(facts | {"identity": "0" * 64}))
    about = json.loads((run.index / "about.json").read_text())
    del about["files"]["index.json"]
    (run.index / "about.json").write_text(json.dumps(about))
    with pytest.raises(ModelError, match=r"made with efficientnet_lite0.*other weights"):
        Retriever.load(run).neighbours([stored(drawing(1), "x")])


def test_an_index_of_before_structures_loads_and_says_so_once(tmp_path, caplog) -> None:
    run = written(tmp_path / "run")
    folder = run.index
    save_file({"vectors": np.array(Index.load(folder).vectors)}, folder / "index.safetensors")
    rows = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    old = "".join(json.dumps({k: r[k] for k in ("case", "key", "group")}) + "\n" for r in rows)
    (folder / "index.jsonl").write_text(old)
    (folder / "index.json").unlink()
    about = json.loads((folder / "about.json").read_text())
    about["files"] = {"cases.jsonl": about["files"]["cases.jsonl"]}
    (folder / "about.json").write_text(json.dumps(about))
    retriever, _ = Retriever.load(run), Retriever.load(run)
    assert caplog.text.count("near-duplicates are known by their cosine only") == 1
    back = stored(drawing(1), "upload")
    (others,) = retriever.neighbours([back], 50, others=True)
    assert {n.case[0] for n in others} == set("BCDEFG")  # the very picture is still known


def test_others_of_an_unknown_picture_are_all(retriever) -> None:
    new = stored(drawing(77), "new")
    assert retriever.neighbours([new], 3, others=True) == retriever.neighbours([new], 3)
    assert all(n.similarity < SAME for n in retriever.neighbours([new])[0])


def test_controls_take_the_guard_off_or_swap_the_neighbours(retriever) -> None:
    shown, groups = [stored(drawing(1), "a1")], ["A"]
    limits = {"exclude_groups": groups, "exclude_keys": ["a1"], "others": True}
    (plain,) = retriever.neighbours(shown, 50, **limits)
    (unguarded,) = retriever.controlled("unguarded").neighbours(shown, 50, **limits)
    assert {n.case for n in unguarded} - {n.case for n in plain} == {"A-2"}
    (swapped,) = retriever.controlled("swapped").neighbours(shown, 50, **limits)
    # of the other patient B-G whose neighbours they are none comes either
    assert len({n.case for n in plain} - {n.case for n in swapped}) == 1
    assert "A" not in {n.case[0] for n in swapped}
    assert retriever.neighbours(shown, 50, **limits) == [plain]  # untouched itself
    with pytest.raises(UnknownName, match="control"):
        retriever.controlled("guarded")


def test_the_recipe_says_how_many_and_how_similar(tmp_path) -> None:
    back, settings = stored(drawing(1), "back"), Retrieve(neighbours=2, threshold=-1.0)
    loaded = Retriever.load(written(tmp_path / "two", settings))
    assert len(loaded.neighbours([back])[0]) == 2
    assert len(loaded.neighbours([back], 5)[0]) == 5
    strict = Retriever.load(written(tmp_path / "strict", Retrieve(threshold=0.9999)))
    assert [n.case for n in strict.neighbours([back], 5)[0]] == ["A-1"]
    assert strict.neighbours([stored(drawing(77), "new")], 5) == [()]
    assert strict.thumbnail("a1") is None
    assert strict.neighbours([]) == []


def test_thumbnails_are_found_by_key_and_outlive_a_new_index(tmp_path) -> None:
    run = written(tmp_path / "run")
    loaded = Retriever.load(run)
    small = loaded.thumbnail("b4")
    with Image.open(BytesIO(small)) as image:
        assert image.size == (24, 24)
        expected = drawing(4).resize((24, 24), Image.Resampling.LANCZOS).convert("L")
        assert np.abs(np.asarray(image, int) - np.asarray(expected, int)).max() <= 8
    assert loaded.thumbnail("nobody's") is None
    indexing.write_index(run.index, indexing.index_entries(TRAIN[:1]), Retrieve(), {})
    assert loaded.thumbnail("b4") == small
    assert len(Retriever.load(run)) == 1


def test_a_bad_picture_or_number_is_refused(retriever) -> None:
    with pytest.raises(ImageError, match="bad"):
        retriever.neighbours([Picture("bad", lambda: b"GIF")])
    for k in (0, -1):
        with pytest.raises(ModelError, match="at least one"):
            retriever.neighbours([stored(drawing(1), "x")], k)


def test_a_run_without_an_index_has_no_retriever(tmp_path) -> None:
    recipe = Recipe(name="r", data=Data(dataset="none"), model={"name": "m"})
    assert Retriever.load(Run.create(tmp_path / "run", recipe)) is None


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("index.safetensors", lambda data: data[:-4], r"of index\.safetensors"),
        ("index.jsonl", lambda data: data.replace(b"A-1", b"Z-1"), r"index\.jsonl is not what"),
        ("cases.jsonl", None, r"lost cases\.jsonl"),
        ("thumbnails.bin", lambda data: data[::-1], r"thumbnails\.bin is not what"),
        ("about.json", lambda data: b"[]", r"about\.json"),
        ("about.json", lambda data: b"{", r"about\.json: cannot be read"),
        ("about.json", lambda data: b'{"files": {}}', r"about\.json.*settings"),
        ("about.json", lambda data: data.replace(b"-1.0", b"7.5"), r"about\.json.*threshold"),
    ],
)
def test_a_torn_or_altered_index_is_refused(tmp_path, name, change, words) -> None:
    run = written(tmp_path / "run")
    path = run.index / name
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    with pytest.raises(RunError, match=words):
        Retriever.load(run)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "tells of 0 pictures, the index of 10"),
        ([{"said": [["q", "a"]]}] * 9, "tells of 9 pictures"),
        ([{"sad": []}] * 10, "line 1 tells of no picture"),
        ([{"said": [["q"]]}] * 10, "line 1 tells of no picture"),
        ([{"said": [], "thumbnail": [1]}] * 10, "line 1 tells of no picture"),
    ],
)
def test_cases_must_belong_to_the_index(tmp_path, rows, words) -> None:
    run = written(tmp_path / "run")
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (run.index / "cases.jsonl").write_text(text)
    about = json.loads((run.index / "about.json").read_text())
    del about["files"]["cases.jsonl"]  # made that way, not altered since
    (run.index / "about.json").write_text(json.dumps(about))
    with pytest.raises(RunError, match=words):
        Retriever.load(run)


def test_pairs_are_those_of_the_neighbours_own_case(retriever) -> None:
    (near,) = retriever.neighbours([stored(drawing(1), "again")], 1)[0]
    assert retriever.pairs(near) == (("which?", "it is A-1"),)
