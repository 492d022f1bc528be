"""What agents are told of an error: one line, without what stands in files and without paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vesalius.errors import DatasetError, NotComparable, RunError, VesaliusError
from vesalius.service.mcp.folders import Folders

QUOTED = re.compile(r"'[^']*'")


def line(error: VesaliusError, arguments: Mapping[str, Any], folders: Folders) -> str:
    """The error without its place; of a file's content only that it is not as it should be.

    What is quoted is what the agent itself wrote, or dots.
    """
    if _of_content(error):
        kind = type(error).__name__
        return f"a file is not as it should be ({kind}); the command line says which and why"
    text = error.what if error.hint is None else f"{error.what}; {error.hint}"
    own = str(arguments)
    text = QUOTED.sub(lambda quoted: quoted[0] if quoted[0][1:-1] in own else "'...'", text)
    return folders.mask(" ".join(text.split()))


def _of_content(error: VesaliusError) -> bool:
    """Whether it may repeat a row: it is of a data set or of answers, and of no folder as such."""
    if not isinstance(error, DatasetError | RunError) or isinstance(error, NotComparable):
        return False
    if error.where is None:
        return isinstance(error, DatasetError)
    return not isinstance(error.where, Path) or bool(error.where.suffix)
