"""What is behind ``--endpoint``: the model of an OpenAI-compatible server, without a recipe."""

from __future__ import annotations

from vesalius.errors import RecipeError
from vesalius.models.endpoint import plain_url
from vesalius.models.remote.client import Server
from vesalius.models.remote.model import RemoteModel
from vesalius.recipe import Decoding
from vesalius.service.engine.model_host import ModelHost, software


def endpoint_host(
    url: str, model: str | None, *, key: str | None = None, concurrency: int = 8
) -> ModelHost:
    """The model ``model`` of the server at ``url``, by default the first one that it lists.

    A busy server is not asked again: who asks the service is told when to come back. An answer
    takes as long as it takes, up to the deadline of each question.
    """
    try:
        server = Server(plain_url(url), model, key, concurrency)
    except ValueError as error:
        hint = "VESALIUS_ENDPOINT_KEY holds the key"
        raise RecipeError(str(error), where="--endpoint", hint=hint) from error
    about = {
        "model": model,
        "engine": "endpoint",
        "revision": None,
        "weights_sha256": None,
        "adapter_sha256": None,
        "recipe": None,
        "preprocessing": "PNG of the decoded picture; the rest is the server's",
        "decoding": Decoding().model_dump(exclude={"batch"}),
        "software": software(),
    }
    return ModelHost(RemoteModel(server, needs_image=False), about)
