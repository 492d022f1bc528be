"""What a worker hosts: the model of a run, or of a hub or folder without a run; and its papers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.errors import ModelError
from vesalius.models import Model, Piece, Streaming, models, parts
from vesalius.recipe import Decoding, Recipe
from vesalius.run import Run, environment
from vesalius.system.files import read_json
from vesalius.system.version import __version__


@dataclass(frozen=True, slots=True)
class ModelHost:
    """A model with what it says of itself."""

    model: Model
    about: dict[str, Any]

    @property
    def prefix_caches(self) -> list[Any]:
        """What the model, or models that it wraps, computed of conversations."""
        caches = (getattr(part, "prefix_cache", None) for part in parts(self.model))
        return [cache for cache in caches if cache is not None]

    def pieces(
        self,
        dialogues: Sequence[Dialogue],
        decoding: Decoding,
        cancelled: Callable[[int], bool],
    ) -> Iterator[Piece]:
        """The answers as they are written; whole at once where the model does not stream."""
        if isinstance(self.model, Streaming):
            yield from self.model.stream(dialogues, decoding, cancelled=cancelled)
            return
        for place, prediction in enumerate(self.model.predict(dialogues, decoding)):
            yield place, prediction.text
            yield place, prediction

    def forget(self, picture: str) -> None:
        """Give up all that is kept of a picture."""
        for part in (*parts(self.model), *self.prefix_caches):
            forget: Callable[[str], None] | None = getattr(part, "forget", None)
            if forget is not None:
                forget(picture)

    def forget_conversations(self) -> None:
        """Give up what was computed of all conversations."""
        for cache in self.prefix_caches:
            cache.forget()


def computes(run: Run) -> bool:
    """Whether a run's model computes on this machine, and so wants a process of its own."""
    recipe = run.recipe()
    entry = models[recipe.model["name"]]
    return recipe.retrieve is not None or getattr(entry, "computes", True)


def software() -> dict[str, Any]:
    """What answers where no model is on this machine."""
    return {"vesalius": __version__}


def load_host(source: str) -> ModelHost:
    """The model that ``source`` names: a run's folder, else a model's folder or hub id."""
    folder = Path(source)
    if (folder / "recipe.yaml").exists():
        return _of_run(Run.open(folder))
    return _of_weights(source)


def _of_run(run: Run) -> ModelHost:
    from vesalius.steps.load import load

    recipe = run.recipe()
    model = load(run)
    block = recipe.model
    files = _hashes(run.weights)
    adapter = {name: sha for name, sha in files.items() if name.startswith("adapter/")}
    base = _base_hashes(run, block)
    about = {
        "model": recipe.name,
        "revision": block.get("revision"),
        "weights_sha256": digest(base or {n: s for n, s in files.items() if n not in adapter}),
        "adapter_sha256": digest(adapter),
        "recipe": f"{recipe.name} {recipe.digest()}",
        "decoding": recipe.decoding.model_dump(exclude={"batch"}),
    }
    if (most := _most_pictures(run)) is not None:
        about["most_pictures"] = most
    origin = run.weights / "origin.json"
    if origin.exists():
        about["weights"] = read_json(origin).get("weights")
    return ModelHost(model, about | _common(model, block["name"]))


def _most_pictures(run: Run) -> int | None:
    """How many pictures of a question the run's model and its members look at; None: any number."""
    from vesalius.steps.members import member_path, referenced

    recipe = run.recipe()
    each = [getattr(models[recipe.model["name"]], "most_pictures", None)]
    for key, one in recipe.members().items():
        if isinstance(one, Recipe):
            member = Run.open(member_path(run.path, key))
        else:
            member = referenced(run.path, one, run.path)
        each.append(_most_pictures(member))
    return min((most for most in each if most is not None), default=None)


def _of_weights(source: str) -> ModelHost:
    from vesalius.models.build import build

    place, _, revision = source.partition("@") if not Path(source).exists() else (source, "", "")
    block = {"name": "generative", "weights": place, "revision": revision or None}
    learner: Any = build(block)
    model: Model = learner.untuned()
    about = {
        "model": Path(source).name if Path(source).exists() else place,
        "revision": _commit(model) or revision or None,
        "weights_sha256": digest(_weights_hashes(place, revision or None)),
        "adapter_sha256": None,
        "recipe": None,
        "decoding": Decoding().model_dump(exclude={"batch"}),
        "weights": "pretrained",
    }
    return ModelHost(model, about | _common(model, "generative"))


def _common(model: Model, name: str) -> dict[str, Any]:
    """What is said of any model: its kind, how pictures reach it, the software."""
    here = environment()
    engine = "local" if getattr(models[name], "computes", True) else name
    about: dict[str, Any] = {"engine": engine, "kind": name, "preprocessing": None}
    network = _network(model)
    if network is not None:
        about |= {"family": network.family.title, "preprocessing": _preprocessing(network)}
    framings = (getattr(part, "framing", None) for part in parts(model))
    framing = next((one for one in framings if one is not None), None)
    if framing is not None:
        how = "stretched to" if framing.stretched else "fitted into"
        about["preprocessing"] = f"{how} {framing.side} x {framing.side} pixels"
    return about | {"software": {"python": here["python"], **here["packages"]}}


def _network(model: Model) -> Any:
    """The first network of a generative family; others call something else by that name."""
    named = (getattr(part, "network", None) for part in parts(model))
    return next((one for one in named if hasattr(one, "family")), None)


def _preprocessing(network: Any) -> str | None:
    """How pictures reach a network; None where it sees none."""
    images = getattr(network.processor, "image_processor", None)
    if images is None:
        return None
    size = getattr(images, "crop_size", None) or getattr(images, "size", None)
    edges = {} if size is None else {k: v for k, v in dict(size).items() if v is not None}
    shape = " x ".join(str(edge) for edge in edges.values())
    square = "padded to a square, " if network.encoder.square else ""
    return f"{type(network.processor).__name__}, {square}{type(images).__name__} {shape}".strip()


def digest(files: Mapping[str, str]) -> str | None:
    """One hash for hashed files: the file's own where it is one, else of ``hash  name`` lines."""
    if len(files) < 2:
        return next(iter(files.values()), None)
    lines = "".join(f"{sha}  {name}\n" for name, sha in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the weights in a run by name, as its manifest says, else of all that it keeps."""
    manifest = folder / "manifest.json"
    if manifest.exists():
        hashes = {name: str(one["sha256"]) for name, one in read_json(manifest).items()}
        tensors = {name: sha for name, sha in hashes.items() if name.endswith(".safetensors")}
        return tensors or hashes
    return {p.relative_to(folder).as_posix(): _sha256(p) for p in _files(folder, "*")}


def _base_hashes(run: Run, block: Mapping[str, Any]) -> dict[str, str]:
    """Of the pretrained base that a run's adapter lies on, where that is outside of the run."""
    weights = block.get("weights")
    inside = any((run.weights / name).exists() for name in ("model", "base"))
    if inside or not isinstance(weights, str):
        return {}
    return _weights_hashes(weights, block.get("revision"))


def _weights_hashes(place: str, revision: str | None) -> dict[str, str]:
    folder = Path(place)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        try:
            folder = Path(snapshot_download(place, revision=revision, local_files_only=True))
        except (OSError, ValueError):
            return {}
    return {p.relative_to(folder).as_posix(): _sha256(p) for p in _files(folder, "*.safetensors")}


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.rglob(pattern) if path.is_file())


def _sha256(path: Path) -> str:
    """A file's hash; a hub's cache names its large files by it."""
    name = path.resolve().name
    if path.is_symlink() and len(name) == 64 and all(c in "0123456789abcdef" for c in name):
        return name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _commit(model: Any) -> str | None:
    """The hub's commit that a model was read from."""
    commit = getattr(model.network.model.config, "_commit_hash", None)
    return None if commit is None else str(commit)


def remember(model: Model, limit: int) -> None:
    """Let a generative model keep what it computed of conversations, in ``limit`` bytes."""
    caching: list[Any] = [part for part in parts(model) if hasattr(part, "prefix_cache")]
    if limit > 0 and caching:
        from vesalius.models.generative.answering.prefix_cache import PrefixCache

        for part in caching:
            part.prefix_cache = PrefixCache(limit // len(caching))


def warm(host: ModelHost) -> None:
    """A first answer, with its similar cases, to a drawn picture; ModelError if there is none."""
    import io

    from PIL import Image

    from vesalius.cases.case import Question
    from vesalius.cases.dialogue import Turn

    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(buffer, "PNG")
    picture = Picture("warm-up", buffer.getvalue)
    turn = Turn(Question("What is shown?"), (picture,))
    dialogues = [Dialogue("warm-up", (turn,), "warm-up")]
    predictions = host.model.predict(dialogues, Decoding(max_new_tokens=2))
    if len(predictions) != 1:
        raise ModelError("the first question was not answered")
    host.forget_conversations()
