"""From the exception tree to RFC 9457: one table of codes, statuses and titles.

Knows nothing of routes. Whatever happens, a caller gets problem+json with a stable ``code``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from starlette.responses import JSONResponse

from vesalius.errors import VesaliusError

MEDIA_TYPE = "application/problem+json"
DOCUMENTED = "https://vesalius.readthedocs.io/reference/http.html"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its HTTP status and its title, the same for every occurrence."""

    status: int
    title: str


TABLE: dict[str, Kind] = {
    # the request
    "bad_request": Kind(400, "The request cannot be read"),
    "invalid_multipart": Kind(400, "The form cannot be read"),
    "invalid_json": Kind(400, "The body is not JSON"),
    "unauthenticated": Kind(401, "A key or a login is needed"),
    "invalid_key": Kind(401, "The key is not valid"),
    "forbidden": Kind(403, "Not allowed"),
    "origin_not_allowed": Kind(403, "This page may not call"),
    "host_not_allowed": Kind(403, "Not under this name"),
    "not_found": Kind(404, "There is no such thing"),
    "image_expired": Kind(404, "The picture's time has passed"),
    "method_not_allowed": Kind(405, "Not this method"),
    "not_acceptable": Kind(406, "Not in this form"),
    "timeout": Kind(408, "The request took too long to arrive"),
    "conversation_busy": Kind(409, "The conversation is being answered"),
    "too_many_turns": Kind(409, "The conversation is full"),
    "already_rated": Kind(409, "This was rated before"),
    "length_required": Kind(411, "A length is needed"),
    "body_too_large": Kind(413, "The request is too large"),
    "study_too_large": Kind(413, "The study has too many pictures"),
    "unsupported_body": Kind(415, "This body is not understood"),
    "invalid_request": Kind(422, "A field is not valid"),
    "invalid_cursor": Kind(422, "Not a page of this list"),
    "question_too_long": Kind(422, "The question is too long"),
    "question_empty": Kind(422, "Nothing is asked"),
    "no_answer": Kind(422, "There is no answer"),
    "another_picture": Kind(422, "Not the picture of the answer"),
    "two_patients": Kind(422, "Pictures of two patients"),
    "unsupported_parameter": Kind(422, "This parameter is not supported"),
    "remote_image": Kind(422, "Pictures are not fetched"),
    "prompt_too_long": Kind(422, "The conversation is too long for the model"),
    "pictures_unsupported": Kind(422, "The model cannot be shown these pictures in these turns"),
    "head_too_large": Kind(431, "The request's head is too large"),
    "rate_limited": Kind(429, "Too many requests"),
    "overloaded": Kind(429, "Too much is waiting"),
    "cancelled": Kind(499, "The caller went away"),
    # pictures
    "image_too_large": Kind(413, "The picture is too large"),
    "image_too_many_pixels": Kind(413, "The picture has too many pixels"),
    "image_too_many_frames": Kind(413, "The picture has too many frames"),
    "unsupported_media_type": Kind(415, "Not a picture that is read"),
    "dicom_transfer_syntax": Kind(415, "This DICOM compression is not read"),
    "image_aspect_ratio": Kind(422, "The picture is too long and thin"),
    "image_size": Kind(422, "The picture has another size than its boxes were drawn for"),
    "image_truncated": Kind(422, "The picture ends too soon"),
    "image_corrupt": Kind(422, "The picture is damaged"),
    "image_frame": Kind(422, "There is no such frame"),
    "image_window": Kind(422, "Not a window"),
    "dicom_invalid": Kind(422, "Not valid DICOM"),
    "dicom_no_pixels": Kind(422, "No picture in this DICOM object"),
    "image": Kind(422, "Not a picture"),
    "image_missing": Kind(404, "The picture is gone"),
    "worker_timeout": Kind(422, "The picture takes too long to decode"),
    "worker_lost": Kind(422, "The picture cannot be decoded safely"),
    "worker_busy": Kind(429, "Too many pictures are being decoded"),
    "worker_failed": Kind(500, "A fault of the service"),
    # the service
    "internal": Kind(500, "A fault of the service"),
    "model": Kind(422, "The model cannot answer this"),
    "missing_extra": Kind(501, "Not installed here"),
    "engine_unavailable": Kind(503, "The model is not available"),
    "shutting_down": Kind(503, "The service is stopping"),
    "not_ready": Kind(503, "The model is being loaded"),
    "storage_unavailable": Kind(503, "The storage does not answer"),
    "deadline": Kind(504, "The answer took too long"),
    "storage_full": Kind(507, "The storage is full"),
    "quota_exceeded": Kind(507, "Your share of the storage is full"),
}
RETRY = {
    "overloaded": 1.0,
    "worker_busy": 2.0,
    "engine_unavailable": 5.0,
    "not_ready": 5.0,
    "storage_unavailable": 2.0,
}
"""Seconds after which trying again may help, where the error itself does not say."""


def kind_of(code: str) -> Kind:
    """The kind of a code; an unknown one is a fault of ours."""
    return TABLE.get(code, TABLE["internal"])


def body(error: VesaliusError, request_id: str) -> dict[str, Any]:
    """The problem as JSON-ready data."""
    known = error.code in TABLE
    kind = kind_of(error.code)
    detail = _detail(error) if known else "Something failed; the request id finds it in the log."
    code = error.code if known else "internal"
    return {
        "type": f"{DOCUMENTED}#{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }


def headers(error: VesaliusError) -> dict[str, str]:
    """``Retry-After`` and ``WWW-Authenticate`` where they belong."""
    retry_after = getattr(error, "retry_after", None)
    seconds = RETRY.get(error.code) if retry_after is None else retry_after
    values = {} if seconds is None else {"Retry-After": str(max(1, ceil(seconds)))}
    if kind_of(error.code).status == 401:
        values["WWW-Authenticate"] = 'Bearer realm="vesalius"'
    return values


def response(error: VesaliusError, request_id: str, *, openai: bool = False) -> JSONResponse:
    """The HTTP response; for OpenAI's clients their own shape stands in it as well."""
    problem = body(error, request_id)
    if openai:
        problem["error"] = openai_error(problem)
    return JSONResponse(problem, problem["status"], headers=headers(error), media_type=MEDIA_TYPE)


def openai_error(problem: Mapping[str, Any]) -> dict[str, Any]:
    """A problem as OpenAI's clients read one."""
    kind = "invalid_request_error" if problem["status"] < 500 else "server_error"
    return {"message": problem["detail"], "type": kind, "code": problem["code"], "param": None}


def _detail(error: VesaliusError) -> str:
    """What is wrong and what to do: not where, which may be a path or a name of ours."""
    return error.what if error.hint is None else f"{error.what}; {error.hint}"
