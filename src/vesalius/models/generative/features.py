"""Features of a frozen vision tower, kept on disk: a picture goes through the tower once.

Kept is what the projector is given, so the projector may train. A picture's tokens are kept too:
later epochs and later runs neither decode nor resize it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.errors import ModelError, RecipeError
from vesalius.models.generative.network import Network
from vesalius.models.generative.projector import PROJECTOR_INPUT
from vesalius.models.generative.rows.rows import Prefix
from vesalius.models.generative.text.families import Family
from vesalius.models.generative.text.template import Rendered
from vesalius.system.files import write_atomic


def require_keepable(family: Family, roles: Mapping[str, str], workers: int = 0) -> None:
    """RecipeError if a fit with these roles could not keep features of this family."""
    where = "model.keep_features"
    if workers:
        what = "the tower runs while rows are read, so training.workers must be 0"
        raise RecipeError(what, where=where)
    if family.keeps is None:
        raise RecipeError(f"features of {family.title} cannot be kept", where=where)
    if roles.get("vision", "frozen") != "frozen":
        raise RecipeError("features are kept of a frozen vision tower only", where=where)


class FeatureStore:
    """A folder of ``<hash>.safetensors``, one for each head with its pictures.

    The hash is of the head, the pictures with frame and window, the tower's weights, the tokenizer
    and all settings, so nothing stale is ever read. RecipeError for families whose row does not say
    that their language model is given what the projector makes of it (``keeps``).
    """

    def __init__(self, network: Network, folder: Path) -> None:
        require_keepable(network.family, {})
        self._network, self._folder = network, folder
        self._path = network.family.parts["projector"][0]
        self._mark = _mark(network)

    def prefix(self, rendered: Rendered, dialogue: Dialogue) -> Prefix:
        """The head as tokens, with the pictures' kept features in the place of their pixels."""
        encoder = self._network.encoder
        if not dialogue.pictures:
            return encoder.prefix(rendered, dialogue)
        pictures = b"".join(_of_picture(picture) for picture in dialogue.pictures)
        key = hashlib.sha256(self._mark + repr(rendered.front).encode() + pictures).hexdigest()
        path = self._folder / key[:2] / f"{key}.safetensors"
        if not path.exists():
            prefix = encoder.prefix(rendered, dialogue)
            tensors = {
                PROJECTOR_INPUT: self._through_tower(prefix),
                "ids": torch.tensor(prefix.ids),
                "labels": torch.tensor(prefix.labels),
            }
            write_atomic(path, save(tensors))
        try:
            with safe_open(path, framework="pt") as file:
                ids, labels = (file.get_tensor(name).tolist() for name in ("ids", "labels"))
                features = file.get_tensor(PROJECTOR_INPUT)
        except SafetensorError as error:
            raise ModelError("is no whole feature file", where=path, hint="delete it") from error
        images, tokens = {PROJECTOR_INPUT: features}, ids.count(encoder.image_id)
        return Prefix(tuple(ids), tuple(labels), images, tokens)

    @torch.no_grad()
    def _through_tower(self, prefix: Prefix) -> torch.Tensor:
        """What the projector is given for the head's pictures."""
        model = self._network.model
        seen: list[torch.Tensor] = []
        projector = model.get_submodule(self._path)
        hook = projector.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        training = model.training
        try:
            model.eval()
            images = {k: v.to(model.device) for k, v in prefix.images.items()}
            half = model.dtype != torch.float32
            with torch.autocast(model.device.type, dtype=model.dtype, enabled=half):
                model.get_image_features(**images)
        finally:
            hook.remove()
            model.train(training)
        return seen[0].cpu().contiguous()


def _of_picture(picture: Picture) -> bytes:
    """A hash of a picture's file, and of the frame and window that are decoded of it."""
    chosen = repr((picture.view.frame, picture.view.window)).encode()
    return hashlib.sha256(picture.read() + chosen).digest()


def _mark(network: Network) -> bytes:
    """A hash of all that tokens and features hang on beside the pictures."""
    encoder, model = network.encoder, network.model
    parts = (
        network.processor.image_processor.to_json_string(),
        encoder.tokenizer.backend_tokenizer.to_str(),
        model.config.to_json_string(),
        str(encoder.square),
    )
    digest = hashlib.sha256("\0".join(parts).encode())
    for path in network.family.parts["vision"]:
        for name, value in model.get_submodule(path).state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.digest()
