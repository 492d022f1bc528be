"""Chat rows in the forms that programs write: read, or refused with row and turn."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import drawing, put, put_json

from vesalius.cases.case import Source
from vesalius.data.dialogues import to_dialogues
from vesalius.data.folder_format import from_rows, to_row
from vesalius.data.open import open_dataset
from vesalius.data.reading.album import Album
from vesalius.errors import DatasetError

WHERE = Source("t.jsonl", 7)


def turns(*pairs, role="from", content="value", names=("human", "gpt")):
    return [
        {role: name, content: text}
        for pair in pairs
        for name, text in zip(names, pair, strict=False)
    ]


def read(row, tmp_path):
    return from_rows([(WHERE, row)], Album(tmp_path), "train")


def exchanges(case):
    return [(q.text, [a.text for a in q.answers]) for q in case.questions]


ONE = [("What?", ["A knee."])]
PARTS = [{"type": "image"}, {"type": "text", "text": "What?"}]
MADE_OF_COLUMNS = {"role": ["user", "assistant"], "content": ["<image>What?", "A knee."]}
FORMS = {
    "llava": {"image": "a.png", "conversations": turns(("<image>\nWhat?", "A knee."))},
    "capitals": {
        "image": "a.png",
        "conversations": turns(("What?", "A knee."), names=("Human", "GPT")),
    },
    "roles": {
        "image": "a.png",
        "conversations": turns(
            ("What?", "A knee."), role="role", content="content", names=("USER", "Bot")
        ),
    },
    "messages": {
        "images": ["a.png"],
        "messages": [
            {"role": "user", "content": PARTS},
            {"role": "assistant", "content": [{"type": "text", "text": "A knee."}]},
        ],
    },
    "nulls": {
        "images": ["a.png"],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "text": None},
                    {"type": "text", "text": "What?", "image": None},
                ],
            },
            {"role": "assistant", "content": "A knee."},
        ],
    },
    "openai": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What?"},
                    {"type": "image_url", "image_url": {"url": "a.png"}},
                ],
            },
            {"role": "assistant", "content": "A knee."},
        ]
    },
    "named": {
        "image": "a.png",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": "file://a.png"},
                    {"type": "text", "text": "What?"},
                ],
            },
            {"role": "assistant", "content": "A knee."},
        ],
    },
    "two turns of one": {
        "messages": [
            {"role": "user", "content": [{"type": "image", "path": "a.png"}]},
            {"role": "user", "content": "What?"},
            {"role": "model", "content": "A knee."},
        ]
    },
    "a cell": {"image": "a.png", "conversations": json.dumps(turns(("What?", "A knee.")))},
    "columns": {"image": "a.png", "messages": MADE_OF_COLUMNS},
    "misspelt": {"image": "a.png", "converstions": turns(("What?", "A knee."))},
    "xtuner": {"image": "a.png", "conversation": [{"input": "What?", "output": "A knee."}]},
    "swift": {"query": "<image>What?", "response": "A knee.", "images": ["a.png"]},
    "alpaca": {"instruction": "What?", "input": "", "output": "A knee.", "image": "a.png"},
    "trl": {"prompt": "What?", "completion": "A knee.", "image": "a.png"},
    "trl chat": {
        "prompt": [{"role": "user", "content": PARTS}],
        "completion": [{"role": "assistant", "content": "A knee."}],
        "images": ["a.png"],
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_chats_are_read(tmp_path, form):
    case = read(FORMS[form], tmp_path)
    assert exchanges(case) == ONE
    assert [picture.key for picture in case.pictures] == ["a.png"]
    (dialogue,) = to_dialogues(case, "vqa")
    assert [picture.key for picture in dialogue.pictures] == ["a.png"]
    assert case.remarks == ()


def test_earlier_exchanges_are_turns(tmp_path):
    row = {"query": "And now?", "response": "no", "history": [["Old?", "yes"]], "image": "a.png"}
    assert exchanges(read(row, tmp_path)) == [("Old?", ["yes"]), ("And now?", ["no"])]
    row = {"instruction": "Say what", "input": "is here", "output": "x", "image": "a.png"}
    assert exchanges(read(row, tmp_path)) == [("Say what\nis here", ["x"])]


def test_a_question_may_wait_for_its_reply(tmp_path):
    assert exchanges(read({"query": "What?", "response": ""}, tmp_path)) == [("What?", [])]


@pytest.mark.parametrize(
    "row",
    [
        {
            "image": "a.png",
            "conversations": [
                {"from": "system", "value": "Be brief."},
                *turns(("What?", "x"), ("So?", "y")),
            ],
        },
        {
            "image": "a.png",
            "messages": [
                {"role": "developer", "content": "Be brief."},
                *turns(
                    ("What?", "x"),
                    ("So?", "y"),
                    role="role",
                    content="content",
                    names=("user", "assistant"),
                ),
            ],
        },
        {
            "image": "a.png",
            "system": "Be brief.",
            "query": "So?",
            "response": "y",
            "history": [["What?", "x"]],
        },
    ],
)
def test_system_turns_reach_every_dialogue_and_the_new_table(tmp_path, row):
    case = read(row, tmp_path)
    for task, count in (("vqa", 2), ("dialogue", 1)):
        dialogues = list(to_dialogues(case, task))
        assert [one.system for one in dialogues] == ["Be brief."] * count
    (whole,) = to_dialogues(case, "dialogue")
    assert whole.reopen(1).system == whole.reopen(0, []).system == "Be brief."
    again = read(to_row(case, ["a.png"]), tmp_path)
    assert again.questions == case.questions
    assert case.remarks == again.remarks == ()


def test_one_dialogue_has_one_system_turn(tmp_path):
    rows = [
        {
            "image": "a.png",
            "conversations": [{"from": "system", "value": words}, *turns(("q", "a"))],
        }
        for words in ("Be brief.", "Be long.")
    ]
    case = from_rows([(Source("t", n), row) for n, row in enumerate(rows)], Album(tmp_path), "x")
    assert [one.system for one in to_dialogues(case, "vqa")] == ["Be brief.", "Be long."]
    with pytest.raises(DatasetError, match="different system turns"):
        list(to_dialogues(case, "dialogue"))


def chat(*messages, **row):
    return {"messages": [{"role": role, "content": content} for role, content in messages]} | row


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (chat(("user", "q"), ("tool", "x")), "turn 2 is a tool's"),
        (chat(("user", "q"), ("Dr. Smith", "x")), "turn 2 has a speaker that is not known"),
        (chat(("assistant", "x"), ("user", "q")), "a turn of 'gpt' where it is not"),
        (chat(("user", "q"), ("assistant", "x"), ("system", "s")), "a system turn stands between"),
        (chat(("system", "<image>s"), ("user", "q")), "a system turn shows a picture"),
        (chat(("user", "q"), ("assistant", "<image>x"), image="a.png"), "a reply shows a picture"),
        (chat(("user", "<image>q"), ("assistant", "x")), "1 <image> in the turns for 0 pictures"),
        (chat(("user", "<image><image>q"), image="a.png"), "2 <image> in the turns for 1 pictures"),
        (chat(("user", "<image>q"), images=["a.png", "b.png"]), "1 <image> in the turns for 2"),
        (chat(("user", "<image>q"), image=None), "1 <image> in the turns for 0 pictures"),
        (chat(("user", [{"type": "video", "video": "v.mp4"}])), "turn 1: a part that is neither"),
        (
            chat(("user", [{"type": "image_url", "image_url": {"url": "https://x/a.png"}}])),
            "server",
        ),
        (chat(("user", [["q"]])), "turn 1: its content is no text"),
        ({"messages": [{"role": "user", "parts": "q"}]}, "turn 1 has no value, content or text"),
        ({"messages": [{"content": "q"}]}, "turn 1 has no speaker"),
        ({"messages": ["q"]}, "messages: a mapping is expected, not a text"),
        ({"messages": "q"}, "messages is not valid JSON"),
        ({"query": "q", "response": "x", "history": ["a"]}, "history 1 is no pair"),
        (
            {"image": "a.png", "question": "<image><image>q"},
            "2 <image> in the turns for 1 pictures",
        ),
        ({"image": "a.png", "caption": "<image> a knee"}, "1 <image> in a caption"),
    ],
)
def test_what_is_not_understood_is_refused_by_row(tmp_path, row, fault):
    with pytest.raises(DatasetError, match=rf"t\.jsonl row 7: .*{fault}") as info:
        read(row, tmp_path)
    assert "Smith" not in str(info.value)


@pytest.mark.parametrize(
    ("row", "unread"),
    [
        (chat(("user", "q"), ("assistant", "x"), tools="[]", rejected="y"), ["tools", "rejected"]),
        (FORMS["llava"] | {"question": "Which?", "answer": "y"}, ["question", "answer"]),
        ({"messages": [{"role": "user", "content": "q", "weight": 0.5}]}, ["messages.weight"]),
        ({"caption": "x", "text": "y", "message": "z"}, ["text", "message"]),
        ({"question": "q", "answers": ["a"], "answer": "b"}, ["answer"]),
        ({"caption": "x", "boxes": [{"bbox": [0, 0, 1, 1], "score": 3}]}, ["boxes.score"]),
        ({"caption": "x", "split": "elsewhere"}, ["split"]),
        ({"caption": "x", "history": ["a"]}, ["history"]),
    ],
)
def test_what_nobody_read_is_told(tmp_path, row, unread):
    remarks = read(row, tmp_path).remarks
    named = [remark.what.split("'")[1] for remark in remarks]
    assert named == unread


@pytest.mark.parametrize(
    ("row", "codes"),
    [
        ({"image": None, "caption": "x", "patient": ""}, ["no_picture", "no_patient"]),
        ({"image": "a.png", "caption": "x", "patient": None, "group": "g"}, []),
        ({"images": [], "caption": "x"}, []),
        ({"images": [], "questions": [{"question": "q", "image": "a.png"}], "group": "g"}, []),
        ({"image": None, "messages": [{"role": "user", "content": "q"}]}, ["no_picture"]),
    ],
)
def test_fields_that_a_row_leaves_empty_are_told(tmp_path, row, codes):
    assert [remark.code for remark in read(row, tmp_path).remarks] == codes


def test_rows_of_one_image_show_it_once(tmp_path):
    rows = [{**FORMS["llava"], "id": str(n)} for n in range(3)]
    put_json(tmp_path / "t.json", rows)
    put(tmp_path / "a.png", drawing(1))
    (case,) = open_dataset("folder", tmp_path / "t.json").cases("all")
    assert [q.id for q in case.questions] == ["0.1", "1.1", "2.1"]
    assert [len(shown) for shown in case.pictures_by_question()] == [1, 1, 1]


NAMES = st.sampled_from(
    ["image", "caption", "question", "answer", "answers", "conversations", "messages", "query",
     "response", "instruction", "input", "output", "prompt", "completion", "system", "history",
     "indication", "patient", "group", "id", "category", "modality", "text", "Report", "patient_id",
     "study", "zzz", "context", "concepts", "language", "label"],
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(names=st.sets(NAMES, min_size=1), chat=st.booleans())
def test_every_cell_is_in_the_case_or_told(tmp_path_factory, names, chat):
    """Each field holds a word of its own: it must come out again, or its field be named."""
    word = {name: f"w{number:03d}w" for number, name in enumerate(sorted(names))}
    row: dict = dict(word)
    for name in ("conversations", "messages"):
        if name in names:
            row[name] = turns((f"q{word[name]}", "a")) if chat else None
    for name in ("context",):
        if name in names:
            row[name] = {"reason": word[name]}
    if "answers" in names:
        row["answers"] = [word["answers"]]
    case = from_rows([(WHERE, row)], Album(tmp_path_factory.getbasetemp()), "train")
    out = json.dumps(to_row(case, [picture.key for picture in case.pictures]))
    told = {remark.what.split("'")[1] for remark in case.remarks}
    for name in names:
        if row[name] is not None:
            assert (word[name] in out) != (name in told), name
