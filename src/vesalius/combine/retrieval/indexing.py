"""Writing a run's index of similar cases: training pictures alone, and what was said of each."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.combine.retrieval.building import encoder_module, require_parts, save_parts
from vesalius.combine.retrieval.index import Item
from vesalius.combine.retrieval.thumbnails import HELD, HeldPicture, structures_of
from vesalius.errors import ModelError, RunError
from vesalius.recipe import Retrieve
from vesalius.system.console import progress_console
from vesalius.system.files import read_json, write_atomic, write_json
from vesalius.system.manifest import manifest
from vesalius.training.disk import writing

if TYPE_CHECKING:
    from vesalius.models.encoders import ImageEncoder

ABOUT, CASES, THUMBNAILS = "about.json", "cases.jsonl", "thumbnails.bin"
PART = 192
"""Pictures that are encoded and written together: what a killed indexing loses at most."""
QUESTION, ANSWER, PAIRS = 120, 400, 8
"""Characters that are kept of a question and of an answer, and pairs that are kept of a case, where
the settings do not want them whole."""


@dataclass(slots=True)
class IndexEntry:
    """A picture of a case, and what experts said of that case: (question, answer) pairs.

    The question is empty where a recipe's own instruction stood (a caption, boxes).
    """

    item: Item
    picture: Picture
    pairs: dict[tuple[str, str], None] = field(default_factory=dict)

    def row(self, *, whole: bool = False) -> dict[str, Any]:
        """What is kept of what was said; ``more`` counts the pairs that are not."""
        if whole:
            return {"said": [list(pair) for pair in self.pairs], "more": 0}
        short = [
            [
                shorten(question, QUESTION, placeholder=" …"),
                shorten(answer, ANSWER, placeholder=" …"),
            ]
            for question, answer in list(self.pairs)[:PAIRS]
        ]
        return {"said": short, "more": max(0, len(self.pairs) - PAIRS)}


def ready(settings: Retrieve, dialogues: Iterable[Dialogue]) -> None:
    """Raise what indexing would, before anything is fitted: packages, encoder, no picture."""
    require_parts(settings)
    if not any(dialogue.pictures for dialogue in dialogues):
        what = "no training dialogue shows a picture, so there is nothing to index"
        raise ModelError(what, where="retrieve")


def index_entries(dialogues: Iterable[Dialogue], instruction: str = "") -> list[IndexEntry]:
    """Every picture of every case, once, in training order, with all that was said of the case.

    ``instruction`` is the recipe's own words for a caption, which nobody asked.
    """
    entries: dict[tuple[str, str], IndexEntry] = {}
    for dialogue in dialogues:
        pairs = list(_pairs(dialogue, instruction))
        case = dialogue.case or dialogue.id
        for picture in dialogue.pictures:
            item = Item(case, picture.key, dialogue.group)
            entry = entries.setdefault((case, picture.key), IndexEntry(item, picture))
            entry.pairs.update(dict.fromkeys(pairs))
    return list(entries.values())


def write_index(
    folder: Path, entries: Sequence[IndexEntry], settings: Retrieve, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Encode the pictures and put the index in ``folder``, whole or not at all; returns its facts.

    One that is there is replaced when the new one is complete. Parts are written as they are made,
    beside the folder, so the same call goes on after a kill; of pictures or settings that have
    changed it begins anew. ``facts`` are noted with it. ImageError names a picture that cannot be
    read, RunError says what could not be saved.
    """
    ready_facts = {**facts, **_counts(entries), "settings": settings.model_dump(mode="json")}
    parts = folder.with_name(f".{folder.name}.parts")
    hint = "the same command goes on from what is there"
    with writing("the index", folder, hint):
        _begin(parts, entries, settings)
        files = _encoded(parts, entries, settings)
        beside = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        ready_facts |= _join(beside, entries, files, settings)
        write_json(beside / ABOUT, {**ready_facts, "files": manifest(beside)})
        _replace(folder, beside)
        shutil.rmtree(parts, ignore_errors=True)
    return ready_facts


def _counts(entries: Sequence[IndexEntry]) -> dict[str, int]:
    items = [entry.item for entry in entries]
    return {
        "pictures": len(items),
        "cases": len({item.case for item in items}),
        "groups": len({item.group for item in items}),
    }


def _pairs(dialogue: Dialogue, instruction: str) -> Iterable[tuple[str, str]]:
    for turn in dialogue.turns:
        question = turn.question
        reply = next((words for answer in question.answers if (words := _words(answer))), None)
        if reply is not None:
            yield "" if question.text == instruction else question.text, reply


def _words(answer: Answer) -> str | None:
    """An expert's answer in words; of boxes their labels, counted. None: nothing was said."""
    if answer.text is not None:
        return answer.text.strip() or None
    if answer.boxes is not None:
        labels = Counter(box.label for box in answer.boxes)
        return ", ".join(f"{n} {label}" for label, n in labels.items()) or "nothing marked"
    return ", ".join(answer.concepts or ()) or None


def _begin(parts: Path, entries: Sequence[IndexEntry], settings: Retrieve) -> None:
    """Keep the parts of the same pictures and settings, drop all others."""
    plan = [[asdict(e.item), e.picture.view.frame, e.picture.view.window] for e in entries]
    content = json.dumps([plan, str(settings.encoder), settings.thumbnails, PART, "structures"])
    mark = {"sha256": hashlib.sha256(content.encode()).hexdigest()}
    path = parts / "plan.json"
    if path.exists() and read_json(path) == mark:
        return
    shutil.rmtree(parts, ignore_errors=True)
    write_json(path, mark)


def _encoded(parts: Path, entries: Sequence[IndexEntry], settings: Retrieve) -> list[Path]:
    """A file for every ``PART`` pictures, those that are there left as they are."""
    files = {at: parts / f"{at:08d}.safetensors" for at in range(0, len(entries), PART)}
    todo = [at for at, file in files.items() if not file.exists()]
    if todo:
        encoder = encoder_module().image_encoder(settings.encoder)
        bar = progress_console()
        some = track(todo, "Indexing pictures", console=bar, transient=True, disable=len(todo) < 2)
        for at in some:
            pictures = [entry.picture for entry in entries[at : at + PART]]
            write_atomic(files[at], save(_part(pictures, encoder, settings.thumbnails)))
    return list(files.values())


def _part(pictures: list[Picture], encoder: ImageEncoder, side: int) -> dict[str, NDArray[Any]]:
    """``vectors`` (n, d); with thumbnails their bytes one after the other, and where each ends."""
    vectors: list[NDArray[np.float32]] = []
    structures: list[NDArray[np.uint8]] = []
    small: list[bytes] = []
    for at in range(0, len(pictures), HELD):
        held = [HeldPicture.of(picture, side) for picture in pictures[at : at + HELD]]
        vectors.append(encoder.embed(held))
        structures.append(structures_of(held))
        small += [picture.thumbnail() for picture in held if side]
    arrays: dict[str, NDArray[Any]] = {
        "vectors": np.concatenate(vectors),
        "structures": np.concatenate(structures),
    }
    if side:
        arrays["bytes"] = np.frombuffer(b"".join(small), np.uint8)
        arrays["ends"] = np.cumsum([len(data) for data in small])
    return arrays


def _join(
    folder: Path, entries: Sequence[IndexEntry], files: list[Path], settings: Retrieve
) -> dict[str, Any]:
    """All parts as one: ``index.safetensors`` and ``.jsonl``, ``cases.jsonl``, thumbnails."""
    vectors: list[NDArray[np.float32]] = []
    structures: list[NDArray[np.uint8]] = []
    places: list[list[int]] = []
    thumbnails, start = settings.thumbnails > 0, 0
    with (folder / THUMBNAILS).open("wb") as pictures:
        for file in files:
            part = _read_part(file)
            vectors.append(part["vectors"])
            structures.append(part["structures"])
            if thumbnails:
                ends = [start + int(end) for end in part["ends"]]
                places += [[a, b] for a, b in zip([start, *ends], ends, strict=False)]
                start = ends[-1]
                pictures.write(part["bytes"].tobytes())
    if not thumbnails:
        (folder / THUMBNAILS).unlink()
    rows = [entry.row(whole=settings.whole) for entry in entries]
    for row, place in zip(rows, places, strict=False):
        row["thumbnail"] = place
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic(folder / CASES, lines)
    items, pairs = [entry.item for entry in entries], [row["said"] for row in rows]
    seen = (np.concatenate(vectors), np.concatenate(structures))
    return save_parts(folder, items, pairs, seen, settings)


def _read_part(file: Path) -> dict[str, NDArray[Any]]:
    try:
        part: dict[str, NDArray[Any]] = load_file(file)
    except SafetensorError as error:
        hint = f"remove {file.parent} and build it again"
        raise RunError(f"not a part of an index: {error}", where=file, hint=hint) from error
    return part


def _replace(folder: Path, beside: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    beside.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
