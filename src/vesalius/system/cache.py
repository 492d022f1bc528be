"""The folder for what can be computed again: drawn data sets, features."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CACHE = "VESALIUS_CACHE"


def cache_folder() -> Path:
    """``$VESALIUS_CACHE``, or ``vesalius`` in the folder where this system keeps caches."""
    named = os.environ.get(CACHE)
    if named:
        return Path(named).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "vesalius"
    place = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return (Path(place) if place else Path.home() / ".cache") / "vesalius"
