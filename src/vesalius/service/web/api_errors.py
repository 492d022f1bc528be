"""What the API refuses, as an error with its code, words and request id."""

from __future__ import annotations

import json

import httpx2

from vesalius.errors import Refusal


class ApiError(Refusal):
    """The API refused, or could not be reached; ``request_id`` finds it in the service's log."""

    def __init__(
        self,
        code: str,
        what: str,
        *,
        status: int = 0,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status, self.request_id = status, request_id
        super().__init__(code, what, retry_after=retry_after)


def error_of(response: httpx2.Response) -> ApiError:
    """A problem+json response as an error; anything else is told by its status."""
    try:
        problem = json.loads(response.content)
        code, detail = str(problem["code"]), str(problem.get("detail") or problem.get("title"))
    except (ValueError, KeyError, TypeError):
        return foreign(response.status_code)
    seconds = response.headers.get("Retry-After", "")
    return ApiError(
        code,
        detail,
        status=response.status_code,
        request_id=problem.get("request_id"),
        retry_after=float(seconds) if seconds.isdecimal() else None,
    )


def unreachable(error: httpx2.TransportError) -> ApiError:
    """Why nothing came back."""
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        return ApiError("deadline", "the service did not answer in time")
    return ApiError("unreachable", "the service cannot be reached")


def foreign(status: int) -> ApiError:
    """Something answered that is not the service, or not this version of it."""
    return ApiError(
        "foreign_answer", f"the service answered {status}, not as expected", status=status
    )
