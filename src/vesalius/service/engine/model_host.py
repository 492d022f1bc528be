"""What a worker hosts: the model of a run, or of a hub or folder without a run; and its papers."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Neighbour, Prediction
from vesalius.cases.view import bare
from vesalius.errors import ModelError, VesaliusError
from vesalius.models import Model, Piece, Streaming, models
from vesalius.recipe import Decoding
from vesalius.run import Run, environment
from vesalius.system.files import read_json

if TYPE_CHECKING:
    from vesalius.combine.retrieve import Retriever

LOOKED_UP = 512
"""Pictures whose neighbours are remembered."""


class Neighbours:
    """A run's similar cases; each picture is looked up once."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._known: OrderedDict[tuple[Any, ...], tuple[Neighbour, ...]] = OrderedDict()

    def of(self, picture: Picture) -> tuple[Neighbour, ...]:
        """The training cases most like a picture."""
        key = (picture.key, picture.view)
        neighbours = self._known.pop(key, None)
        if neighbours is None:
            (neighbours,) = self._retriever.neighbours([picture])
        self._known[key] = neighbours
        if len(self._known) > LOOKED_UP:
            self._known.popitem(last=False)
        return neighbours

    def forget(self, picture: str) -> None:
        """Give up what was found for a picture, in every view of it."""
        of = bare(picture)
        for key in [k for k in self._known if bare(k[0]) == of]:
            del self._known[key]


@dataclass(frozen=True, slots=True)
class ModelHost:
    """A model with what it says of itself, and what finds similar cases, if anything does."""

    model: Model
    about: dict[str, Any]
    neighbours: Neighbours | None = None

    def supported(self, prediction: Prediction, picture: Picture | None) -> Prediction:
        """The prediction with similar cases as evidence, unless it brings its own."""
        if self.neighbours is None or picture is None or prediction.evidence:
            return prediction
        try:
            return replace(prediction, evidence=self.neighbours.of(picture))
        except VesaliusError:
            return prediction  # an answer is worth more than what stands beside it

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
        forget: Callable[[str], None] | None = getattr(self.model, "forget", None)
        if forget is not None:
            forget(picture)
        prefix_cache = getattr(self.model, "prefix_cache", None)
        if prefix_cache is not None:
            prefix_cache.forget(picture)
        if self.neighbours is not None:
            self.neighbours.forget(picture)


def computes(run: Run) -> bool:
    """Whether a run's model computes on this machine, and so wants a process of its own."""
    recipe = run.recipe()
    entry = models[recipe.model["name"]]
    return recipe.retrieve is not None or getattr(entry, "computes", True)


def software() -> dict[str, Any]:
    """What answers where no model is on this machine."""
    return {"vesalius": metadata.version("vesalius")}


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
    origin = run.weights / "origin.json"
    if origin.exists():
        about["weights"] = read_json(origin).get("weights")
    return ModelHost(model, about | _common(model, block["name"]), _retrieval(run))


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
    network: Any = getattr(model, "network", None)
    if network is not None:
        about |= {"family": network.family.title, "preprocessing": _preprocessing(network)}
    return about | {"software": {"python": here["python"], **here["packages"]}}


def _preprocessing(network: Any) -> str:
    images = network.processor.image_processor
    size = getattr(images, "crop_size", None) or getattr(images, "size", None)
    edges = {} if size is None else {k: v for k, v in dict(size).items() if v is not None}
    shape = " x ".join(str(edge) for edge in edges.values())
    square = "padded to a square, " if network.encoder.square else ""
    return f"{type(network.processor).__name__}, {square}{type(images).__name__} {shape}".strip()


def _retrieval(run: Run) -> Neighbours | None:
    """What finds a run's similar cases, if it has an index."""
    if not (run.path / "index").is_dir():
        return None
    from vesalius.combine.retrieve import Retriever

    retriever = Retriever.load(run)
    return None if retriever is None else Neighbours(retriever)


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
    if limit > 0 and hasattr(model, "prefix_cache"):
        from vesalius.models.generative.answering.prefix_cache import PrefixCache

        model.prefix_cache = PrefixCache(limit)


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
    host.supported(predictions[0], picture)
    prefix_cache = getattr(host.model, "prefix_cache", None)
    if prefix_cache is not None:
        prefix_cache.forget()
