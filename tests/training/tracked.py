"""What trackers wrote, read back as (step, name -> number) without the code that wrote it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32_768, 7
"""Of wandb's file: LevelDB's log format, https://github.com/google/leveldb/blob/main/doc/log_format.md"""
Curve = list[tuple[int, dict[str, float]]]


def expected(log: Sequence[Mapping[str, Any]]) -> Curve:
    """What a tracker that groups names should have of a run's log."""
    return [
        (
            row["step"],
            {
                ("eval/" if key.startswith("validation") else "train/") + key: value
                for key, value in row.items()
                if key != "step"
            },
        )
        for row in log
    ]


def tensorboard_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) by tag, as tensorboard itself reads its file."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}


def by_name(curve: Curve) -> dict[str, list[tuple[int, float]]]:
    """The same of a curve."""
    found: dict[str, list[tuple[int, float]]] = {}
    for step, row in curve:
        for name, value in row.items():
            found.setdefault(name, []).append((step, value))
    return found


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of a ``.wandb`` file, as wandb's own protocol reads them."""
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # the process that writes it lags behind the one that closed the run
    content, at, parts = file.read_bytes(), HEADER, b""
    assert content[:4] == b":W&B"
    while at + HEADER <= len(content):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + HEADER])
        if kind == 0:
            at += BLOCK - at % BLOCK
            continue
        parts += content[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def wandb_curve(file: Path) -> Curve:
    """The history in a ``.wandb`` file, without what wandb adds (names that begin with _)."""
    curve: Curve = []
    for record in wandb_records(file):
        if record.HasField("history"):
            row = {i.key or i.nested_key[0]: json.loads(i.value_json) for i in record.history.item}
            step = row.pop("train/global_step")
            curve.append((step, {k: v for k, v in row.items() if not k.startswith("_")}))
    return curve


def wandb_config(file: Path) -> dict[str, Any]:
    """The settings in a ``.wandb`` file."""
    found: dict[str, Any] = {}
    for record in wandb_records(file):
        updates = [*record.config.update, *record.run.config.update]
        found |= {i.key or i.nested_key[0]: json.loads(i.value_json) for i in updates}
    return {key: value for key, value in found.items() if not key.startswith("_")}
