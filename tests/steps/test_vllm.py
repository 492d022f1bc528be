"""export --for vllm: the folder, the command and the compose file, and what cannot be served."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from peft import PeftModel
from transformers import AutoModelForImageTextToText
from typer.testing import CliRunner

from vesalius import Recipe, Run
from vesalius.cli.main import app
from vesalius.errors import ModelError
from vesalius.steps.export import export
from vesalius.steps.fit import fit

DATA = {
    "dataset": "phantom",
    "options": {"cases": {"train": 4, "validation": 2, "test": 2}, "size": 48},
    "leaks": "allow",
}


def fitted(folder: Path, **model: Any) -> Run:
    block = {"name": "generative", "family": "llava", "tiny": True}
    training = {"max_steps": 2, "batch": 2}
    content = {"name": "small", "data": DATA, "decoding": {"max_new_tokens": 6}}
    recipe = Recipe.model_validate({**content, "model": {**block, "training": training, **model}})
    return fit(recipe, folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fitted(tmp_path_factory.mktemp("runs") / "small")


def test_merged_weights_are_served_from_their_folder(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = export(run, out, check=2, engine="vllm")
    assert done.command is not None
    words = shlex.split(done.command)
    assert words[:5] == ["vllm", "serve", str(out), "--served-model-name", "small"]
    positions = json.loads((out / "config.json").read_text())["text_config"]
    longest = min(2048 + 6, positions["max_position_embeddings"])
    assert words[words.index("--max-model-len") + 1] == f"{longest}"
    assert json.loads(words[words.index("--limit-mm-per-prompt") + 1]) == {"image": 4}
    script = (out / "vllm-serve.sh").read_text()
    assert script.endswith(f"export VLLM_NO_USAGE_STATS=1\nexec {done.command}\n")
    service = yaml.safe_load((out / "compose.vllm.yaml").read_text())["services"]["vllm"]
    assert service["command"][0] == "/srv/weights"
    assert service["environment"] == {"VLLM_NO_USAGE_STATS": "1"}
    assert service["ports"] == ["127.0.0.1:8001:8001"]
    assert service["volumes"] == [f"{out}:/srv/weights:ro"]


def test_an_adapter_is_served_on_its_base(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = export(run, out, merge=False, check=2, engine="vllm")
    assert done.command is not None
    words = shlex.split(done.command)
    assert words[2] == str(out / "base")  # random weights: no hub has them
    assert f"small={out}" in words
    assert words[words.index("--max-lora-rank") + 1] == "16"
    assert words[words.index("--served-model-name") + 1] == "small-base"
    template = Path(words[words.index("--chat-template") + 1]).read_text()
    assert template == (out / "base" / "chat_template.jinja").read_text() != ""
    settings = [
        json.loads((at / "generation_config.json").read_text()) for at in (out, out / "base")
    ]
    assert settings[0]["eos_token_id"] == settings[1]["eos_token_id"]
    base = AutoModelForImageTextToText.from_pretrained(out / "base")
    assert PeftModel.from_pretrained(base, str(out)).peft_config["default"].r == 16


@pytest.mark.parametrize(
    ("model", "merge", "why"),
    [
        ({"family": "mllama"}, True, "reads pictures by cross-attention"),
        ({"family": "blip2_t5"}, True, "an encoder and a decoder"),
        ({"adapter": {"use_dora": True}}, False, "it takes no DoRA"),
        (
            {"roles": {"projector": "full", "language": "adapter"}},
            False,
            "whole modules lie in the adapter|projector trained",
        ),
    ],
)
def test_what_cannot_be_served_says_so_and_writes_nothing(
    model: dict[str, Any], merge: bool, why: str, tmp_path: Path
) -> None:
    run = fitted(tmp_path / "run", **model)
    with pytest.raises(ModelError, match=why) as caught:
        export(run, tmp_path / "out", merge=merge, engine="vllm")
    assert (caught.value.hint is not None) is not merge
    assert not (tmp_path / "out").exists()


def test_a_model_of_another_kind_and_an_unknown_engine(run: Run, tmp_path: Path) -> None:
    table = fitted(tmp_path / "table").recipe().model_copy(update={"model": {"name": "majority"}})
    with pytest.raises(ModelError, match="majority is no model that a language model writes"):
        export(fit(table, tmp_path / "majority"), tmp_path / "out", engine="vllm")
    command = ["export", str(run.path), "--out", str(tmp_path / "out"), "--for", "other"]
    result = CliRunner().invoke(app, command)
    assert "other" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_line(run: Run, tmp_path: Path) -> None:
    command = ["export", str(run.path), "--out", str(tmp_path / "out"), "--check", "1"]
    result = CliRunner().invoke(app, [*command, "--for", "vllm"])
    assert f"serve: vllm serve {tmp_path / 'out'}" in result.output
