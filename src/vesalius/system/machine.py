"""What this machine has for us: versions, processors, room, caches, extras."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from vesalius.system.cache import cache_folder
from vesalius.system.version import __version__

LIBRARIES = ("torch", "torchvision", "transformers", "peft", "trl", "accelerate", "bitsandbytes")
EXTRAS: Mapping[str, str] = {
    "models": "local models, encoders and retrieval",
    "train": "fine-tuning with LoRA and QLoRA",
    "hub": "data sets of the Hugging Face hub and parquet files",
    "dicom": "more compressions of DICOM pictures",
    "clip": "image encoders of open_clip (BiomedCLIP)",
    "lancedb": "similar cases in a LanceDB folder",
    "detect": "box metrics as COCO has them",
    "metrics": "BERTScore",
    "endpoint": "models behind an OpenAI-compatible server",
    "serve": "the HTTP service",
    "web": "the chat page",
    "ocr": "text burned into pictures",
    "postgres": "the service on PostgreSQL",
    "s3": "pictures in S3",
    "gcs": "pictures in Google Cloud Storage",
    "telemetry": "traces by OpenTelemetry",
    "dicomweb": "pictures from and reports to a DICOMweb archive",
    "ray": "predictions, embeddings and hashes on a Ray cluster",
    "mcp": "Vesalius as a tool of agents (Model Context Protocol)",
    "tensorboard": "a fit's curves in TensorBoard",
    "wandb": "a fit's curves in Weights & Biases, offline unless asked",
    "results": "answers as DICOM reports and segmentations",
    "smolvlm": "SmolVLM (num2words: LGPL)",
    "yolo": "YOLOv8 and YOLO11 (AGPL-3.0)",
}
"""What each extra adds."""
FILES = 200_000
"""How many files of a cache are counted; where there are more its size is a lower bound."""


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder for what can be fetched or computed again."""

    name: str
    path: Path
    bytes: int
    whole: bool
    """Whether every file was counted."""


def facts() -> dict[str, Any]:
    """All of it, as ``vesalius doctor --save`` writes it."""
    lacks = missing()
    return {
        "versions": versions(),
        "processors": processors(),
        "free": room(),
        "caches": [{**asdict(one), "path": str(one.path)} for one in caches()],
        "extras": {
            name: {"adds": EXTRAS[name], "missing": absent} for name, absent in lacks.items()
        },
    }


def ask_hub(seconds: float = 5.0) -> str:
    """Whether the Hugging Face hub (or ``$HF_ENDPOINT``) answers, in words; one request."""
    import httpx2

    place = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}:
        return f"{place}: not asked, HF_HUB_OFFLINE is set"
    try:
        reply = httpx2.get(f"{place}/api/models?limit=1", timeout=seconds)
    except httpx2.HTTPError as error:
        return f"{place}: does not answer ({type(error).__name__})"
    return f"{place}: answers with {reply.status_code}"


def versions() -> dict[str, str | None]:
    """Of Vesalius, Python and the libraries that it rests on most; None where one is absent."""
    own = {"vesalius": __version__, "python": platform.python_version()}
    return own | {name: installed(name) for name in LIBRARIES}


def installed(package: str) -> str | None:
    """A package's version; None where it is not here."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processors() -> dict[str, Any]:
    """Cores, memory (bytes; None where the system does not say), and every GPU that torch finds."""
    found: dict[str, Any] = {
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory": _memory(),
        "gpus": None,
    }
    if find_spec("torch") is None:
        return found
    import torch

    found["instructions"] = torch.backends.cpu.get_cpu_capability()
    found["cuda"] = torch.version.cuda
    found["gpus"] = [
        {
            "name": torch.cuda.get_device_name(at),
            "memory": torch.cuda.get_device_properties(at).total_memory,
            "capability": ".".join(map(str, torch.cuda.get_device_capability(at))),
        }
        for at in range(torch.cuda.device_count())
    ]
    return found


def room() -> dict[str, int]:
    """Free bytes by place: here, for what is computed again, for what is in passing."""
    places = {"here": Path.cwd(), "cache": cache_folder(), "temporary": Path(tempfile.gettempdir())}
    return {name: shutil.disk_usage(_existing(path)).free for name, path in places.items()}


def caches() -> list[Cache]:
    """Ours and the hub's."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    return [_cache("vesalius", cache_folder()), _cache("hub", hub.expanduser())]


def missing() -> dict[str, list[str]]:
    """What each extra lacks here, by extra; nothing of one that is whole.

    Of a source tree that is not installed nobody knows, and nothing is missing.
    """
    wanted: dict[str, list[str]] = {}
    for line in (installed("vesalius") and requires("vesalius")) or ():
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        name = re.match(r"[\w.-]+", line)
        if extra and name and extra[1] in EXTRAS and name[0] != "vesalius" and _wanted(line):
            wanted.setdefault(extra[1], []).append(name[0])
    lacks = {extra: [n for n in names if installed(n) is None] for extra, names in wanted.items()}
    return {extra: lacks[extra] for extra in EXTRAS if lacks.get(extra)}


def _wanted(line: str) -> bool:
    """Whether a requirement holds for this system and Python, as far as its marker names them."""
    system = re.search(r"sys_platform == ['\"](\w+)['\"]", line)
    below = re.search(r"python_version < ['\"]3\.(\d+)['\"]", line)
    return (system is None or system[1] == platform.system().lower()) and (
        below is None or sys.version_info < (3, int(below[1]))
    )


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return None


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(one for one in (path, *path.parents) if one.exists())


def _cache(name: str, path: Path) -> Cache:
    sizes = list(islice(_sizes(path), FILES + 1))
    return Cache(name, path, sum(sizes[:FILES]), whole=len(sizes) <= FILES)


def _sizes(path: Path) -> Iterator[int]:
    """Of each file below; one that is linked to counts once, one that has gone not at all."""
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if not file.is_symlink() and file.exists():
                yield file.stat().st_size
