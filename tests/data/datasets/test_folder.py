from __future__ import annotations

import json

import pytest
from layouts import drawing, folder, put, put_json, put_lines, put_parquet

from vesalius.cases.case import Box
from vesalius.data.dialogues import to_dialogues
from vesalius.data.folder_format import to_row
from vesalius.data.open import open_dataset
from vesalius.data.reading import tables
from vesalius.errors import DatasetError, RecipeError, VesaliusError


def test_questions_of_one_image_are_one_case(drawn):
    dataset = drawn("folder", folder)
    (case,) = dataset.cases("train")
    assert [(q.id, q.text) for q in case.questions] == [("1", "what?"), ("2", "why?")]
    (case,) = dataset.cases("test")
    assert (case.caption, case.boxes) == ("A knee.", ())


def test_columns_are_mapped(tmp_path):
    put(tmp_path / "rows.tsv", "path\tq\ta\tmrn\tpart\na.png\twhat?\tx\tp7\tdev\n")
    put(tmp_path / "a.png", drawing(1))
    columns = {"image": "path", "question": "q", "answer": "a", "patient": "mrn", "split": "part"}
    dataset = open_dataset("folder", tmp_path, options={"columns": columns})
    assert dataset.splits() == ("validation",)
    (case,) = dataset.cases("validation")
    assert (case.group, case.questions[0].answers[0].text) == ("p7", "x")
    assert case.pictures[0].read() == drawing(1)


def test_unknown_columns_are_named(tmp_path):
    put(tmp_path / "train.csv", "path,report\na.png,x\n")
    with pytest.raises(DatasetError, match=r"train.csv row 1: no known column among path, report"):
        list(open_dataset("folder", tmp_path).cases("train"))
    options = {"columns": {"image": "file"}}
    with pytest.raises(DatasetError, match=r"row 1: there is no column 'file'.*path, report"):
        list(open_dataset("folder", tmp_path, options=options).cases("train"))
    with pytest.raises(RecipeError, match="columns"):
        open_dataset("folder", tmp_path, options={"columns": {"picture": "path"}})


def test_llava_conversations(tmp_path):
    turns = [
        {"from": "human", "value": "<image>\nWhat is it?"},
        {"from": "gpt", "value": "A knee."},
        {"from": "human", "value": "Which side?"},
        {"from": "gpt", "value": "Left."},
    ]
    put_json(tmp_path / "llava.json", [{"id": "c1", "image": "a.png", "conversations": turns}])
    (case,) = open_dataset("folder", tmp_path / "llava.json").cases("all")
    assert [(q.text, q.answers[0].text) for q in case.questions] == [
        ("What is it?", "A knee."), ("Which side?", "Left."),
    ]  # fmt: skip
    put_json(tmp_path / "llava.json", [{"id": "c1", "conversations": turns[1:]}])
    with pytest.raises(DatasetError, match=r"llava.json row 1: a turn of 'gpt'"):
        list(open_dataset("folder", tmp_path / "llava.json").cases("all"))


def test_images_with_text_files(tmp_path):
    put(tmp_path / "train" / "a.png", drawing(1))
    put(tmp_path / "train" / "a.txt", "A knee.\n")
    put(tmp_path / "train" / "b.png", drawing(2))
    first, second = open_dataset("folder", tmp_path).cases("train")
    assert (first.caption, second.caption) == ("A knee.", "")


def test_parquet_without_splits_in_its_name_is_read_by_its_split_column(tmp_path):
    rows = [
        {"image": drawing(n), "caption": f"c{n}", "split": split}
        for n, split in enumerate(("train", "val", "test", "train"))
    ]
    put_parquet(tmp_path / "rows.parquet", rows)
    dataset = open_dataset("folder", tmp_path)
    assert {s: [c.caption for c in dataset.cases(s)] for s in dataset.splits()} == {
        "train": ["c0", "c3"],
        "validation": ["c1"],
        "test": ["c2"],
    }
    assert all(not case.remarks for split in dataset.splits() for case in dataset.cases(split))


def test_parquet_with_stored_pictures(tmp_path):
    put_parquet(tmp_path / "train.parquet", [{"image": drawing(1), "caption": "x"}])
    (case,) = open_dataset("folder", tmp_path).cases("train")
    assert case.pictures[0].read() == drawing(1)


def test_a_row_without_its_picture_is_a_case_without_one(tmp_path):
    rows = [{"image": drawing(1), "caption": "x"}, {"image": None, "caption": "y"}]
    put_parquet(tmp_path / "train.parquet", rows)
    first, second = open_dataset("folder", tmp_path).cases("train")
    assert (len(first.pictures), second.pictures, second.caption) == (1, (), "y")


def test_rich_cells_in_csv(tmp_path):
    boxes = json.dumps([{"bbox": [1, 2, 3, 4], "label": "cyst"}]).replace('"', '""')
    head = "image,caption,boxes,concepts,history\n"
    put(tmp_path / "train.csv", f'{head}a.png,x,"{boxes}",C1;C2,Cough\nb.png,y,,,\n')
    first, second = open_dataset("folder", tmp_path).cases("train")
    assert first.boxes == (Box(1, 2, 3, 4, "cyst"),)
    assert (first.concepts, first.context) == (("C1", "C2"), {"history": "Cough"})
    assert (second.boxes, second.concepts, dict(second.context)) == (None, None, {})


def test_full_paths_are_read_in_the_folder_that_the_user_names(tmp_path):
    pictures = tmp_path / "elsewhere"
    put(pictures / "a.png", drawing(1))
    put_lines(
        tmp_path / "set" / "train.jsonl", [{"image": str(pictures / "a.png"), "caption": "x"}]
    )
    with pytest.raises(DatasetError, match=r"leads out of the data set.*--images"):
        list(open_dataset("folder", tmp_path / "set").cases("train"))
    named = open_dataset("folder", tmp_path / "set", options={"images": str(pictures)})
    (case,) = named.cases("train")
    assert case.pictures[0].pixels().size[0] > 0


SAID = {
    "patient": "p1",
    "boxes": [{"bbox": [1, 2, 3, 4], "label": "cyst"}],
    "concepts": ["C1"],
    "modality": "CT",
    "context": {"history": "cough"},
}


@pytest.mark.parametrize("silent", [0, 1])
def test_what_any_row_says_of_the_image_counts(tmp_path, silent):
    rows = [{"image": "a.png", "question": f"q{n}", "answer": "x"} for n in range(3)]
    told = [row if n == silent else row | SAID for n, row in enumerate(rows)]
    put_lines(tmp_path / "train.jsonl", told)
    (case,) = open_dataset("folder", tmp_path).cases("train")
    assert (case.group, case.modality, case.concepts) == ("p1", "CT", ("C1",))
    assert case.boxes == (Box(1, 2, 3, 4, "cyst"),)
    assert dict(case.context) == {"history": "cough"}
    assert len(case.questions) == 3


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("patient", "p2"),
        ("boxes", []),
        ("concepts", ["C1", "C2"]),
        ("modality", "MR"),
        ("context", {"history": "fever"}),
    ],
)
def test_rows_that_differ_on_their_image_are_named(tmp_path, name, other):
    row = {"image": "a.png", "question": "q", "answer": "x"} | SAID
    put_lines(tmp_path / "train.jsonl", [row, row, row | {name: other}])
    with pytest.raises(DatasetError, match=rf"row 3: another {name} of the picture than at row 1"):
        list(open_dataset("folder", tmp_path).cases("train"))


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"image": "a.png", "boxes": [{"bbox": [1, 1, 0, 2]}]}, "not a box"),
        ({"image": "a.png", "boxes": "[1"}, "boxes is not valid JSON"),
        ({"image": "a.png", "boxes": [1]}, "a mapping is expected"),
        ({"image": "../a.png", "caption": "x"}, "leads out"),
        ({"image": "a.png", "question": "q", "kind": "maybe"}, "kind is open or closed"),
        ({"image": 3.5, "caption": "x"}, "neither a path nor stored bytes"),
        ({"image": "a.png", "questions": "x"}, "questions is not valid JSON"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, fault):
    put_lines(tmp_path / "train.jsonl", [{"image": "ok.png", "caption": "x"}, row])
    with pytest.raises(DatasetError, match=rf"train.jsonl row 2: .*{fault}"):
        list(open_dataset("folder", tmp_path).cases("train"))


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("train.jsonl", '{"image": "a"}\n{"im', "row 2: not valid JSON"),
        ("train.jsonl", "[1]\n", "row 1: not a JSON object"),
        ("train.csv", "", "the file is empty"),
        ("train.csv", "image\n", "no tab"),
        ("train.csv", 'image,caption\na.png,"open', "not valid CSV"),
        ("train.csv", b"image,caption\n\xff\xfe,x\n", "not UTF-8"),
        ("train.parquet", b"PAR1 not", "cannot be read as parquet"),
        ("train.json", "{}", "a JSON object that is no table"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, fault):
    put(tmp_path / name, content)
    with pytest.raises(DatasetError, match=rf"{name}.*{fault}"):
        list(open_dataset("folder", tmp_path).cases("train"))


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(DatasetError, match=r"no known layout.*<split>.jsonl"):
        open_dataset("folder", tmp_path)


def test_a_table_may_caption_and_ask(tmp_path):
    rows = "a.png,A knee.,,\na.png,,what?,x\n"
    put(tmp_path / "train.csv", f"image,caption,question,answer\n{rows}")
    (case,) = open_dataset("folder", tmp_path).cases("train")
    assert (case.caption, [q.text for q in case.questions]) == ("A knee.", ["what?"])
    put(tmp_path / "train.csv", f"image,caption,question,answer\n{rows}a.png,A hip.,,\n")
    with pytest.raises(DatasetError, match=r"train.csv row 3: another caption.*row 1"):
        list(open_dataset("folder", tmp_path).cases("train"))


def test_a_table_with_a_split_column_is_parsed_once(tmp_path, monkeypatch):
    parsed = []
    reader = tables.ALONE[".csv"]

    def counted(path, encoding):
        parsed.append(path)
        return reader(path, encoding)

    monkeypatch.setitem(tables.ALONE, ".csv", counted)
    rows = [f"{n}.png,words {n},{s}" for n, s in enumerate(("train", "validation", "test", "val"))]
    table = tmp_path / "mine.csv"
    put(table, "\n".join(["image,caption,split", *rows]) + "\n")

    def captions():
        dataset = open_dataset("folder", table)
        return {s: [case.caption for case in dataset.cases(s)] for s in dataset.splits()}

    walked = captions()
    assert walked == {
        "train": ["words 0"], "validation": ["words 1", "words 3"], "test": ["words 2"],
    }  # fmt: skip
    assert captions() == walked
    assert parsed == [table]
    put(table, "image,caption,split\n9.png,others,train\n")
    assert captions() == {"train": ["others"]}


def test_a_large_table_is_streamed_and_gives_the_same(tmp_path, monkeypatch):
    table = tmp_path / "mine.csv"
    put(table, "image,caption,split\na.png,x,train\nb.png,y,test\n")
    held = [case for s in ("train", "test") for case in open_dataset("folder", table).cases(s)]
    monkeypatch.setattr(tables, "HELD", 0)
    streamed = [case for s in ("train", "test") for case in open_dataset("folder", table).cases(s)]
    assert held == streamed


def test_recorded_fingerprints_are_no_table_of_cases(tmp_path):
    put(tmp_path / "fold1.jsonl", '{"image": "a.png", "caption": "x"}\n')
    put(tmp_path / "fingerprints.jsonl", '{"path": "a.png"}\n')
    assert open_dataset("folder", tmp_path).splits() == ("all",)


def put_three(root):
    for number, name in enumerate(("prior.png", "current.png", "lateral.png")):
        put(root / name, drawing(number))


def shown(case):
    (dialogue,) = to_dialogues(case, "dialogue")
    return [[picture.key for picture in turn.pictures] for turn in dialogue.turns]


def test_a_question_names_the_pictures_of_its_turn(tmp_path):
    put_three(tmp_path)
    questions = [
        {"question": "Is the heart large?", "answer": "no"},
        {"question": "And now?", "answer": "yes", "image": "current.png"},
        {"question": "And from the side?", "answer": "no", "images": ["lateral.png"]},
    ]
    row = {"id": "c1", "image": "prior.png", "questions": questions}
    put_json(tmp_path / "own.json", [row])
    (case,) = open_dataset("folder", tmp_path / "own.json").cases("all")
    assert [picture.key for picture in case.pictures] == ["prior.png", "current.png", "lateral.png"]
    assert [question.shows for question in case.questions] == [(), (1,), (2,)]
    assert shown(case) == [["prior.png"], ["current.png"], ["lateral.png"]]
    back = to_row(case, [picture.key for picture in case.pictures])
    assert back["image"] == "prior.png"
    assert [question.get("image") for question in back["questions"]] == [
        None, "current.png", "lateral.png",
    ]  # fmt: skip
    put_json(tmp_path / "own.json", [back])
    (again,) = open_dataset("folder", tmp_path / "own.json").cases("all")
    assert (again.questions, again.pictures) == (case.questions, case.pictures)


def test_a_case_may_begin_without_a_picture(tmp_path):
    put_three(tmp_path)
    questions = [
        {"question": "What is an effusion?", "answer": "fluid"},
        {"question": "Is there one?", "answer": "no", "images": ["prior.png", "current.png"]},
    ]
    put_json(tmp_path / "own.json", [{"id": "c1", "questions": questions}])
    (case,) = open_dataset("folder", tmp_path / "own.json").cases("all")
    assert shown(case) == [[], ["prior.png", "current.png"]]


def test_a_picture_of_a_question_that_is_not_there_is_named(tmp_path):
    question = {"question": "And now?", "answer": "yes", "image": "gone.png"}
    put_json(tmp_path / "own.json", [{"id": "c1", "questions": [question]}])
    with pytest.raises(VesaliusError, match=r"own\.json row 1.*gone\.png|gone\.png"):
        _ = [p.read() for c in open_dataset("folder", tmp_path / "own.json").cases("all")
             for p in c.pictures]  # fmt: skip
    question["image"] = 3.5
    put_json(tmp_path / "own.json", [{"id": "c1", "questions": [question]}])
    with pytest.raises(DatasetError, match=r"own\.json row 1: an image is neither"):
        list(open_dataset("folder", tmp_path / "own.json").cases("all"))


def llava(*human, images):
    turns = [
        turn
        for text in human
        for turn in ({"from": "human", "value": text}, {"from": "gpt", "value": "yes"})
    ]
    return {"id": "c1", "images": images, "conversations": turns}


def test_placeholders_of_a_conversation_say_where_pictures_are_shown(tmp_path):
    put_three(tmp_path)
    images = ["prior.png", "current.png", "lateral.png"]
    for human, expected in (
        (("<image>\nOld?", "<image>New?", "So?"), [images[:1], images[1:2], []]),
        (("<image><image>Old?", "New?"), [images[:2], []]),
        (("Old?", "<image>New? <image>", "So?"), [[], images[:2], []]),
        (("Old?", "New?"), [images, []]),  # none: all in the first turn
    ):
        given = images[: sum(map(len, expected))]
        put_json(tmp_path / "llava.json", [llava(*human, images=given)])
        (case,) = open_dataset("folder", tmp_path / "llava.json").cases("all")
        assert shown(case) == expected
        assert "<image>" not in "".join(question.text for question in case.questions)
    put_json(tmp_path / "llava.json", [llava("<image>Old?", "<image>New?", images=images)])
    fault = r"llava\.json row 1: 2 <image> in the turns for 3 pictures \(one where each"
    with pytest.raises(DatasetError, match=fault):
        list(open_dataset("folder", tmp_path / "llava.json").cases("all"))


def test_rows_that_write_one_file_in_several_ways_are_one_case(tmp_path):
    put(tmp_path / "a" / "x.PNG", drawing(1))
    names = ("a/x.PNG", "a\\x.PNG", "./a/x.png")
    rows = [{"image": name, "question": f"q{n}", "answer": "x"} for n, name in enumerate(names)]
    put_lines(tmp_path / "train.jsonl", rows)
    (case,) = open_dataset("folder", tmp_path).cases("train")
    assert (case.id, len(case.questions)) == ("a/x", 3)


def test_captions_in_text_files_of_any_case_and_encoding(tmp_path):
    put(tmp_path / "0.JPG", drawing(1))
    put(tmp_path / "0.TXT", "nódulo".encode("cp1252"))
    dataset = open_dataset("folder", tmp_path, options={"encoding": "cp1252"})
    assert [case.caption for case in dataset.cases("all")] == ["nódulo"]
    with pytest.raises(RecipeError, match=r"encoding.*no encoding 'latin99'"):
        open_dataset("folder", tmp_path, options={"encoding": "latin99"})


def test_of_a_list_of_captions_the_first_is_read_and_the_others_are_counted(tmp_path):
    put(tmp_path / "a.png", drawing(1))
    for given, caption, codes in (
        (["A knee.", "One knee."], "A knee.", ["several_captions"]),
        (["A knee.", "A knee. "], "A knee.", []),
        (["", " "], "", []),
    ):
        put_lines(tmp_path / "train.jsonl", [{"image": "a.png", "caption": given}])
        (case,) = open_dataset("folder", tmp_path).cases("train")
        assert case.caption == caption
        assert [remark.code for remark in case.remarks] == codes
