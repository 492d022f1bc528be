"""Submission files: what was written is read again, each fault is refused by its line."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.errors import DatasetError, RunError, UnknownName
from vesalius.evaluation.submission.answers import submission, tasks_of
from vesalius.evaluation.submission.files import read, task_in, write
from vesalius.evaluation.submission.forms import TASKS, Form, forms, year_of

IDS = ("a_1", "a_2", "a_3")
CAPTIONS, CONCEPTS = Form("captions", 2026), Form("concepts", 2026, frozenset({"C0000001"}))
YEARS = tuple(forms().years)


@pytest.fixture(scope="module")
def mutations() -> ModuleType:
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "submissions.py"
    spec = importlib.util.spec_from_file_location("submissions", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["submissions"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["submissions"]


def refused(path: Path, text: str | bytes, form: Form) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DatasetError) as error:
        read(path, form, IDS)
    return str(error.value)


def rows(*captions: str) -> str:
    return "ID,Caption\n" + "".join(f"{i},{c}\n" for i, c in zip(IDS, captions, strict=False))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(min_size=0, max_size=40), min_size=3, max_size=3),
    year=st.sampled_from([2024, 2025, 2026]),
)
def test_what_is_written_of_any_caption_is_read_again(tmp_path, texts, year):
    form = Form("captions", year, allow_empty=True)
    answers = [Prediction(id=i, answer=Answer(text=t)) for i, t in zip(IDS, texts, strict=True)]
    path = tmp_path / "captions.csv"
    try:
        given_rows = submission(answers, form, IDS, "here")
    except DatasetError as error:
        assert "prediction " in str(error)  # noqa: PT017
        return
    write(path, given_rows, IDS)
    assert read(path, form, IDS).values == {
        i: " ".join(t.split()) for i, t in zip(IDS, texts, strict=True)
    }
    with path.open(newline="", encoding="utf-8") as file:  # as the organisers read it
        assert [len(row) for row in csv.reader(file)] == [2, 2, 2, 2]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("year", YEARS)
def test_each_change_that_does_harm_is_refused_and_no_other(tmp_path, mutations, task, year):
    form = Form(task, year, frozenset(mutations.KNOWN))
    for harm in (True, False):
        for name, change in mutations.changes(form, harm=harm).items():
            for seed in range(3):
                draft = mutations.Draft(mutations.random.Random(seed), form)
                result = change(draft)
                content = result if isinstance(result, bytes) else "".join(result).encode()
                path = tmp_path / "file.csv"
                path.write_bytes(content)
                try:
                    read(path, form, draft.ids)
                    fine = True
                except DatasetError:
                    fine = False
                assert fine is not harm, (name, seed)


def test_a_file_in_another_order_is_told_and_written_in_order(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text('ID,Caption\na_2,two\na_1,"one, left"\na_3,three\n')
    found = read(path, CAPTIONS, IDS)
    assert found.moved == 2
    write(tmp_path / "ordered.csv", found, IDS)
    assert (tmp_path / "ordered.csv").read_text() == (
        'ID,Caption\na_1,"one, left"\na_2,"two"\na_3,"three"\n'
    )
    assert read(tmp_path / "ordered.csv", CAPTIONS, IDS).moved == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rows("one", "two"), "the whole: 1 of 3 images are missing, the first is number 3"),
        (rows("one", "two", "three") + "a_1,again\n", "line 5: the image of line 2 again"),
        (rows("one", "two", "three") + "b_9,x\n", "line 5: its id is none of the split's images"),
        (rows("one", "", "three"), "line 3: the caption is empty"),
        (rows("one", "x, y", "three"), "line 3: not two fields"),
        (rows("one", '"two', "three"), "line 3: a quotation mark is not closed"),
        (rows("one", "nan", "three"), "line 3: the caption is the word that a program writes"),
        (rows("one", "t\two", "three"), "line 3: a control character"),
        (rows("one", "two", "three") + "\n", "line 5: the line is empty"),
        (rows("one", "two", "three")[:-1], "line 4: the last line has no end"),
        (rows("one", "two\r", "three"), "line 3: it does not end as the first line does"),
        (b"\xef\xbb\xbf" + rows("one", "two", "three").encode(), "line 1: a byte order mark"),
        (rows("one", "größer", "three").encode("latin-1"), "line 3: not UTF-8 text"),
        ("ID,CUIs\na_1,\n", "line 1: the header is that of concepts, not ID,Caption"),
        ("a_1,one\na_2,two\na_3,three\n", "line 1: the header is not ID,Caption"),
        (b"", "line 1: the file is empty"),
        (b"x" * (2**20 + 5), "line 1: more than 1,048,576 bytes"),
    ],
)
def test_a_fault_is_named_by_its_line(tmp_path, text, said):
    message = refused(tmp_path / "captions.csv", text, CAPTIONS)
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("concepts", "said"),
    [
        ("C0000001;C0000001", "line 2: concept 2 is listed twice"),
        ("C0000001;C0000002", "line 2: concept 2 is not in the data set's mapping"),
        ("C0000001;", "line 2: concept 2 is no CUI"),
        ("C0000001; C0000001", "line 2: concept 2 is no CUI"),
        ("Mister Who", "line 2: concept 1 is no CUI"),
        (";".join(f"C{n:07d}" for n in range(101)), "line 2: 101 concepts, 100 are allowed"),
    ],
)
def test_a_faulty_concept_is_named_by_its_place_and_never_quoted(tmp_path, concepts, said):
    text = f"ID,CUIs\na_1,{concepts}\na_2,\na_3,C0000001\n"
    message = refused(tmp_path / "concepts.csv", text, CONCEPTS)
    assert said in message
    assert "Who" not in message
    assert "missing" not in message


def test_many_faults_are_counted(tmp_path):
    text = "ID,Caption\n" + "b,x\n" * 40
    message = refused(tmp_path / "captions.csv", text, CAPTIONS)
    assert message.endswith("and 38 more faults")  # 40 rows and the missing images, 3 named


def test_the_archive_holds_the_file_under_its_one_name(tmp_path):
    given_rows = submission(
        [Prediction(id=i, answer=Answer(text="a caption")) for i in IDS], CAPTIONS, IDS, "here"
    )
    path = tmp_path / "captions.zip"
    write(path, given_rows, IDS)
    with ZipFile(path) as archive:
        assert archive.namelist() == ["submission.csv"]
    assert task_in(path, 2026) == "captions"
    assert read(path, CAPTIONS, IDS).values == dict.fromkeys(IDS, "a caption")
    first = path.read_bytes()
    write(path, given_rows, IDS)
    assert path.read_bytes() == first


@pytest.mark.parametrize("names", [["captions.csv"], ["submission.csv", "notes.txt"], []])
def test_an_archive_of_anything_else_is_refused(tmp_path, names):
    path = tmp_path / "captions.zip"
    with ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, rows("one", "two", "three"))
    with pytest.raises(DatasetError, match=r"holds submission\.csv and nothing else"):
        read(path, CAPTIONS, IDS)


def test_a_broken_archive_and_one_of_a_year_without_are_refused(tmp_path):
    path = tmp_path / "captions.zip"
    path.write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(DatasetError, match="not a zip archive that can be read"):
        read(path, CAPTIONS, IDS)
    with ZipFile(path, "w") as archive:
        archive.writestr("submission.csv", rows("one", "two", "three"))
    with pytest.raises(DatasetError, match="files of 2023 are not zipped"):
        read(path, Form("captions", 2023), IDS)
    with pytest.raises(DatasetError, match="cannot be read"):
        read(tmp_path / "none.csv", CAPTIONS, IDS)


def test_2023_parts_fields_by_pipes_and_quotes_nothing(tmp_path):
    form = Form("captions", 2023)
    answers = [Prediction(id=i, answer=Answer(text='a "sign", left')) for i in IDS]
    path = tmp_path / "captions.csv"
    write(path, submission(answers, form, IDS, "here"), IDS)
    assert path.read_text().splitlines()[:2] == ["ID|Caption", 'a_1|a "sign", left']
    assert read(path, form, IDS).moved == 0
    piped = [Prediction(id=i, answer=Answer(text="left | right")) for i in IDS]
    with pytest.raises(DatasetError, match=r"prediction 1: \| in the text"):
        submission(piped, form, IDS, "here")


def test_tasks_of_predictions():
    caption = Prediction(id="1", answer=Answer(text="A nodule."))
    listing = Prediction(id="2", answer=Answer(text="C1; C2", concepts=("C1", "C2")))
    none = Prediction(id="3", answer=Answer(text="none", concepts=()))
    unread = Prediction(id="4", answer=Answer(text="what?"), abstained=True)
    both = Prediction(id="5", answer=Answer(text="A nodule.", concepts=("C1",)))
    assert tasks_of([caption], "here") == ("captions",)
    assert tasks_of([listing, none, unread], "here") == ("concepts",)
    assert tasks_of([both, none], "here") == ("captions", "concepts")
    with pytest.raises(RunError, match="no prediction has a caption or concepts"):
        tasks_of([], "here")


def test_predictions_that_do_not_fit_are_named_by_their_number():
    abstained = Prediction(id="a_1", answer=Answer(text=""), abstained=True)
    other = Prediction(id="a_2", case="b", answer=Answer(text="x"))
    with pytest.raises(DatasetError) as error:
        submission([abstained, other], CAPTIONS, IDS, "p.jsonl")
    assert str(error.value) == (
        "p.jsonl: prediction 1: the caption is empty; prediction 2: its id is none of the split's "
        "images; the whole: 2 of 3 images are missing, the first is number 2 of the split"
    )
    empty = [Prediction(id=i, answer=Answer(text=""), abstained=True) for i in IDS]
    assert submission(empty, CONCEPTS, IDS, "p").empty == 3
    words = Prediction(id="a_2", answer=Answer(text="x"))
    with pytest.raises(DatasetError, match="prediction 2: the answer has no concepts"):
        submission([empty[0], words, empty[2]], CONCEPTS, IDS, "p")


@pytest.mark.parametrize("ids", [(), ("a", "a"), ("a,b",), ("a ",), ("",), ("a\n",), ('"a',)])
def test_ids_that_cannot_stand_in_a_file_are_refused(ids):
    with pytest.raises(DatasetError, match=r"the split|of the split"):
        submission([], CAPTIONS, ids, "here")


def test_years_are_known_or_refused():
    assert year_of(None) == max(YEARS) == 2026
    with pytest.raises(UnknownName, match="no year called '2019'"):
        year_of(2019)
