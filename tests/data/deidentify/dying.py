"""A job that kills its process at one file, as a decoder's fault would."""

from __future__ import annotations

import os
import signal
from typing import Any

from vesalius.data.deidentify import job


def run(file: Any, *more: Any) -> dict[str, Any]:
    """As the real one, but for one file."""
    if file.name.endswith("/2"):
        os.kill(os.getpid(), signal.SIGKILL)
    return job.run(file, *more)
