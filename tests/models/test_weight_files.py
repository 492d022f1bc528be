"""Pickles and tensors named twice are refused by name and head, before torch is loaded."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from vesalius.errors import ModelError
from vesalius.models.weight_files import (
    PICKLES,
    require_block_weights,
    require_distinct,
    require_weights,
)


def safetensors(head: str, data: bytes = bytes(4)) -> bytes:
    return struct.pack("<Q", len(head)) + head.encode() + data


ONE = '"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'


@pytest.mark.parametrize("ending", [*PICKLES, ".PT"])
def test_every_ending_of_a_pickle_is_named(tmp_path: Path, ending: str) -> None:
    pickle = tmp_path / f"weights{ending}"
    pickle.write_bytes(b"x")
    with pytest.raises(ModelError, match=f"only a pickle \\(weights{ending}\\)"):
        require_weights(tmp_path)
    with pytest.raises(ModelError, match="is a pickle"):
        require_weights(pickle)
    require_weights(tmp_path, allow_pickle=True)
    require_weights(pickle, allow_pickle=True)
    (tmp_path / "model.safetensors").write_bytes(safetensors("{" + ONE + "}"))
    require_weights(tmp_path)  # the pickle beside them is not read


def test_a_tokeniser_is_no_pickle(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(b"x")
    require_weights(tmp_path)
    require_weights("hub/model")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ("{" + ONE + ", " + ONE + "}", "a"),
        ('{"a": {"dtype": "F32", "shape": [1], "shape": [1], "data_offsets": [0, 4]}}', "shape"),
        ('{"__metadata__": {"format": "pt", "format": "np"}, ' + ONE + "}", "format"),
    ],
)
def test_what_is_named_twice_is_refused(tmp_path: Path, head: str, name: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(safetensors(head))
    with pytest.raises(ModelError, match=f"model.safetensors: names {name!r} twice"):
        require_weights(tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 8, b"x" * 100, safetensors("[1]"), safetensors("{")]
)
def test_what_is_no_safetensors_is_left_to_its_reader(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(data)
    require_distinct([file])


def test_blocks_are_looked_at_whatever_the_key(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "x.ckpt").write_bytes(b"x")
    for block in ({"weights": str(tmp_path)}, {"encoder": {"weights": str(tmp_path), "layer": 1}}):
        with pytest.raises(ModelError, match="pickle"):
            require_block_weights(block)
    require_block_weights({"weights": str(tmp_path), "allow_pickle": True})
    require_block_weights({"name": "yolo", "weights": str(tmp_path / "x.ckpt")})
    require_block_weights({"weights": "google/vit", "layers": 3, "note": "x\0y"})


def test_it_is_said_before_torch_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava"}))
    (tmp_path / "model.pt").write_bytes(b"x")
    code = f"""
import sys
from vesalius.errors import ModelError
from vesalius.models.build import build
from vesalius.service.assembly import assemble
from vesalius.service.settings import Settings
folder = {str(tmp_path)!r}
for refused in (
    lambda: build({{"name": "generative", "weights": folder}}),
    lambda: assemble(Settings(model=folder, state=folder + "/state")),
):
    try:
        refused()
    except ModelError as error:
        assert "only a pickle (model.pt)" in str(error), error
    else:
        raise SystemExit("not refused")
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_long_template_in_a_block_is_no_path() -> None:
    require_block_weights({"name": "generative", "chat_template": "{{ messages }}" * 30})
