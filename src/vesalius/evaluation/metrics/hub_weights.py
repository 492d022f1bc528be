"""Whether the weights that a metric names are here, or can be fetched."""

from __future__ import annotations

from functools import lru_cache
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_SECONDS = 3.0
"""How long the hub may take to answer before it counts as out of reach."""


@lru_cache
def unreachable(model: str) -> str | None:
    """Why a hub model's weights cannot be had; None where they are cached or the hub answers.

    Whether the hub knows the name, and what is a folder, is left to whoever loads the weights.
    """
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        here = isinstance(try_to_load_from_cache(model, "config.json"), str)
    except HFValidationError:
        here = True  # no name of the hub: the loader says what is wrong with it
    if here or (not constants.HF_HUB_OFFLINE and _answers(constants.ENDPOINT)):
        return None
    return f"the weights of {model} are not here, and the hub cannot be reached"


def _answers(endpoint: str) -> bool:
    """Whether anything answers there, once: the hub's own client tries for half a minute."""
    request = Request(endpoint, method="HEAD")  # noqa: S310 - the hub library's own endpoint
    try:
        with urlopen(request, timeout=_SECONDS):  # noqa: S310
            return True
    except HTTPError:
        return True
    except OSError:
        return False
