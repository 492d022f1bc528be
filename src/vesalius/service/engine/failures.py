"""Errors as they cross from where the model is: kind, code and words of ours."""

from __future__ import annotations

from vesalius.errors import ImageError, ModelError, Refusal, TooLong, Unshowable, VesaliusError

KINDS = ("ImageError", "TooLong", "Unshowable", "Unavailable", "ModelError", "VesaliusError")
"""Errors that cross as what they are, the narrower ones first."""
Failure = tuple[str, str, str, str | None, float | None]
"""Kind, code, what, hint, and the seconds after which to try again."""


def serialise_error(error: BaseException) -> Failure:
    """An error as it crosses the pipe; of strangers' errors no words, which may be a patient's."""
    if isinstance(error, VesaliusError):
        kind = next(k for k in KINDS if _is(error, k))
        return kind, error.code, error.what, error.hint, getattr(error, "retry_after", None)
    what = f"the model failed at this question ({type(error).__name__})"
    return "VesaliusError", "engine_unavailable", what, None, None


def deserialise_error(
    kind: str, code: str, what: str, hint: str | None, retry_after: float | None
) -> VesaliusError:
    """The error that :func:`serialise_error` told of.

    What is neither the picture's fault nor the question's is a Refusal.
    """
    if kind == "ImageError":
        return ImageError(code, what, hint=hint)
    if kind == "TooLong":
        return TooLong(what, hint="ask a shorter question, or begin a new conversation")
    if kind == "Unshowable":
        return Unshowable(what, hint="show the picture with the first question of a conversation")
    if kind == "ModelError":
        return ModelError(what, hint=hint)
    return Refusal(code, what, retry_after=retry_after, hint=hint)


def refusal(error: BaseException) -> VesaliusError:
    """The error as a caller of the service is told of it."""
    return deserialise_error(*serialise_error(error))


def _is(error: VesaliusError, kind: str) -> bool:
    return any(one.__name__ == kind for one in type(error).__mro__)
