"""Reading models and processors from a hub or a folder: what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from vesalius.errors import MissingExtra, ModelError
from vesalius.models.weight_files import HINT, require_weights

CODE = ("custom code", "wants to run code of its own", "trust_remote_code: true, if you trust it")
# How transformers tells what is wrong, what that means, and what to do about it.
KNOWN_ERRORS = (
    ("gated", "is gated", "accept its licence on its hub page, then: hf auth login"),
    (
        "couldn't connect",
        "is not here, and the hub cannot be reached",
        "fetch it where there is a network, or name a local folder",
    ),
    ("not a local folder", "is neither a folder here nor a model on the hub", None),
    ("must be in the form", "is neither a folder here nor a model on the hub", None),
    CODE,
    (
        "no file named model.safetensors",
        "holds no safetensors",
        HINT,
    ),
    ("ignore_mismatched_sizes", "holds weights of other sizes than its config.json says", None),
)


@dataclass(frozen=True, slots=True)
class Access:
    """Which revision is read, and what may be done that can run a stranger's code."""

    revision: str | None = None
    allow_pickle: bool = False
    trust_remote_code: bool = False

    @property
    def code(self) -> dict[str, Any]:
        """Arguments of ``from_pretrained`` for configs, processors and tokenizers."""
        return {"revision": self.revision, "trust_remote_code": self.trust_remote_code}

    @property
    def weights(self) -> dict[str, Any]:
        """Arguments of ``from_pretrained`` for weights."""
        return self.code | {"use_safetensors": None if self.allow_pickle else True}


@contextmanager
def reading(place: object, what: str = "a model") -> Iterator[None]:
    """A block that reads a model; what it raises becomes one ModelError about ``place``."""
    try:
        yield
    except ImportError as error:
        if "num2words" in str(error):
            raise MissingExtra("num2words (LGPL)", "smolvlm") from error
        raise
    except SafetensorError as error:
        line = f"holds malformed weights: {error}"
        raise ModelError(line, where=place, hint="fetch or copy them again") from error
    except (OSError, ValueError, RuntimeError) as error:
        text = str(error).strip()
        for sign, meaning, hint in KNOWN_ERRORS:
            if sign in text:
                line = f"cannot be loaded as {what}: it {meaning}"
                raise ModelError(line, where=place, hint=hint) from error
        first = text.splitlines()[0] if text else type(error).__name__
        raise ModelError(f"cannot be loaded as {what}: {first}", where=place) from error


def look(place: str, access: Access, what: str = "a model") -> PreTrainedConfig:
    """A model's config, before any of its weights; ModelError if the model would be refused.

    Refused: a folder or hub id that is not there or not open to the reader, an adapter, a folder
    with nothing but a pickle, and a model that transformers knows only by the code it brings.
    """
    folder = Path(place)
    if folder.is_dir():
        _require_weights(folder, access)
    with reading(place, what):
        content, _ = PreTrainedConfig.get_config_dict(place, revision=access.revision)
        brought = "auto_map" in content and content.get("model_type") not in CONFIG_MAPPING
        if brought and not access.trust_remote_code:
            _, meaning, hint = CODE
            raise ModelError(f"cannot be loaded as {what}: it {meaning}", where=place, hint=hint)
        config: PreTrainedConfig = AutoConfig.from_pretrained(place, **access.code)
    return config


def read(place: str, access: Access, **options: Any) -> tuple[PreTrainedModel, Any]:
    """A model and its processor; ``options`` as :func:`read_model` takes them."""
    look(place, access)
    with reading(place):
        processor = AutoProcessor.from_pretrained(place, **access.code)
    return read_model(place, access, **options), processor


def read_model(place: str | Path, access: Access = Access(), **options: Any) -> PreTrainedModel:
    """A model; ModelError also where weights are missing, which would be random instead.

    ``options`` go to ``from_pretrained``. With ``device_map="meta"`` no number is read: shapes come
    from the config, and what is missing or malformed is seen in the files' headers.
    """
    from vesalius.models import towers  # noqa: F401  # registers our vision towers

    with reading(place):
        model: PreTrainedModel
        model, info = AutoModelForImageTextToText.from_pretrained(
            str(place),
            attn_implementation="sdpa",
            output_loading_info=True,
            **access.weights,
            **options,
        )
    if missing := sorted(info["missing_keys"]):
        what = f"lacks {len(missing)} of the model's weights, {missing[0]} among them"
        raise ModelError(what, where=place, hint="fetch or copy them again")
    return model


def read_processor(folder: Path) -> Any:
    """A processor that a run saved."""
    with reading(folder, "a processor"):
        return AutoProcessor.from_pretrained(str(folder), trust_remote_code=False)


def _require_weights(folder: Path, access: Access) -> None:
    if not (folder / "config.json").exists() and (folder / "adapter_config.json").exists():
        hint = "name the run that it is of as model.start"
        raise ModelError("is an adapter, not a model", where=folder, hint=hint)
    require_weights(folder, allow_pickle=access.allow_pickle)
