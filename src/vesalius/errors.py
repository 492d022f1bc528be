"""Everything Vesalius refuses, in one tree; those with a place stand beside what raises them.

VesaliusError                 the root: the CLI prints it as one line and exits with 2
├── UnknownName (KeyError)    a registry, split, metric or option that does not exist
├── DatasetError              a data set's files, rows or columns
│   ├── Leakage               splits that share a patient or a picture
│   └── Swelling              data.reading: an archive that holds too much for what it is
├── ImageError                bytes that are no acceptable picture; carries a stable code
│   └── Unwanted              data.deidentify: an object that is refused as a whole
├── RecipeError               a recipe's key or value
├── RunError                  a run folder: foreign, torn, or not finished
│   ├── NotComparable         predictions of two runs that answer different questions
│   └── Stopped               training: a signal ended the fit, which can go on
├── MissingExtra              an optional package that is not installed
├── ModelError                weights, shapes, a missing image
│   ├── TooLong               more tokens than a model reads
│   ├── Unshowable            pictures where a model cannot read them
│   └── Unavailable           the server of a remote model: away, busy or broken
├── IdentityRisk              patient data where it must not be
├── Refusal                   the service will not do this, now or ever; carries a stable code
│   └── ApiError              service.web: what the API answered the page, when it was no answer
├── Conflict                  service.store: another writer was faster
├── WorkerLost                system.workers: a process died at its task
│   └── WorkerStopped         system.workers: who waited for a task ended it
├── WorkerTimeout             system.workers: a task took longer than it may
│   └── WorkerBusy            system.workers: no process became free in time
└── WorkerFailed              system.workers: a task raised what is no VesaliusError
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

LONG = re.compile(r"\S{300,}")
"""What no message repeats in full: a picture that stands in a cell as base64 is a word, too."""


def printable(text: str) -> str:
    """The text with escapes for control characters, and for a path's bytes that are no UTF-8."""
    plain = text.encode(errors="backslashreplace").decode()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in plain)


def _shortened(match: re.Match[str]) -> str:
    return f"{match[0][:40]}... ({len(match[0])} characters)"


class VesaliusError(Exception):
    """What is wrong, where, and the next thing to try, in one line.

    ``code`` is stable and machine-readable; the service maps it to an HTTP status.
    """

    code = "error"

    def __init__(self, what: str, *, where: object = None, hint: str | None = None) -> None:
        what = LONG.sub(_shortened, what)
        self.what, self.where, self.hint = what, where, hint
        place = "" if where is None else f"{where}: "
        advice = "" if hint is None else f" ({hint})"
        message = LONG.sub(_shortened, f"{place}{what}{advice}")
        super().__init__(printable(" ".join(message.split())))

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        # Subclasses take other arguments; what crosses to another process is what was said.
        return _restored, (type(self), str(self), dict(vars(self)))


def _restored(kind: type[VesaliusError], message: str, attributes: dict[str, Any]) -> VesaliusError:
    error = kind.__new__(kind, message)
    vars(error).update(attributes)
    return error


class UnknownName(VesaliusError, KeyError):
    """A name no registry, split or option knows; the message suggests the nearest ones."""

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: object = None) -> None:
        names = sorted(set(known))
        close = get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"known: {', '.join(names)}" if names else None
        if close:
            hint = f"did you mean {' or '.join(close)}?"
        super().__init__(f"there is no {kind} called {name!r}", where=where, hint=hint)


class DatasetError(VesaliusError):
    """A data set's layout, file, row or column is not what its reader needs."""

    code = "dataset"


class Leakage(DatasetError):
    """Two splits share a patient, a picture or a near-duplicate."""

    code = "leakage"


class ImageError(VesaliusError):
    """Bytes that do not become a picture; ``code`` names the reason (``image_truncated`` ...)."""

    code = "image"

    def __init__(
        self, code: str, what: str, *, where: object = None, hint: str | None = None
    ) -> None:
        self.code = code
        super().__init__(what, where=where, hint=hint)


class RecipeError(VesaliusError):
    """A recipe's key or value is unknown, missing or impossible."""

    code = "recipe"


class RunError(VesaliusError):
    """A run folder is missing, belongs to another recipe, or is not finished."""

    code = "run"


class NotComparable(RunError):
    """Two runs share no question, or mean different questions by one id."""

    code = "not_comparable"


class MissingExtra(VesaliusError):
    """An optional package is needed; the message holds the command that installs it."""

    code = "missing_extra"

    def __init__(self, package: str, extra: str, *, command: str | None = None) -> None:
        install = command or install_command(extra)
        super().__init__(f"this needs the package {package}", hint=f"try: {install}")


def install_command(extra: str) -> str:
    """The command that installs an extra: by this package's name, or from a clone's folder.

    No index has the name, so that a tree that is not installed must not ask one for it.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        version("vesalius")
    except PackageNotFoundError:
        return f"pip install '.[{extra}]'"
    return f"pip install 'vesalius[{extra}]'"


class ModelError(VesaliusError):
    """A model cannot be built, loaded, fitted or asked as requested."""

    code = "model"


class TooLong(ModelError):
    """A dialogue has more tokens than a model reads."""

    code = "prompt_too_long"


class Unshowable(ModelError):
    """A dialogue shows its pictures in turns in which a model cannot read them."""

    code = "pictures_unsupported"


class Unavailable(ModelError):
    """The server of a remote model is away, busy or broken; ``retry_after`` is in seconds."""

    code = "engine_unavailable"

    def __init__(
        self, what: str, *, retry_after: float = 5.0, where: object = None, hint: str | None = None
    ) -> None:
        self.retry_after = retry_after
        super().__init__(what, where=where, hint=hint)


class IdentityRisk(VesaliusError):
    """Something that may identify a patient would leave its place."""

    code = "identity_risk"


class Refusal(VesaliusError):
    """The service will not do this, now or ever; ``code`` names the reason (``overloaded`` ...).

    ``retry_after`` (seconds) where trying again later may help.
    """

    def __init__(
        self,
        code: str,
        what: str,
        *,
        retry_after: float | None = None,
        where: object = None,
        hint: str | None = None,
    ) -> None:
        self.code, self.retry_after = code, retry_after
        super().__init__(what, where=where, hint=hint)
