"""Request bodies in both forms, within limits: JSON and forms become one kind of mapping.

Nothing is spooled to a disk: an upload is in memory, at most ``max_body`` bytes of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, QuerystringParser, parse_options_header
from starlette.requests import Request

from vesalius.errors import Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 16
MAX_NAME = 100
MAX_FIELD = 64 * 1024
MAX_HEADERS = 8
MAX_HEADER_BYTES = 4096
MAX_ITEMS = 20_000
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
PLAIN = (b"binary", b"8bit", b"7bit")
"""Transfer encodings that change nothing; others went with RFC 7578, 4.7."""

Body = TypeVar("Body", bound=BaseModel)


@dataclass(slots=True)
class Part:
    """A part of a form: its bytes, and whether it came as a file. File names are not kept."""

    name: str = ""
    is_file: bool = False
    data: bytearray = field(default_factory=bytearray)


async def parse(request: Request, schema: type[Body]) -> Body:
    """The body as ``schema``, from JSON or from a form; Refusal names the first bad field."""
    kind = content_type(request)
    data = await request.body()
    if kind in FORMS:
        return validated(schema, _unflattened(fields(data, request.headers["content-type"])))
    if kind not in {"application/json", ""}:
        detail = f"a body of type {kind!r} is not understood"
        raise Refusal("unsupported_body", detail[:120], hint="send JSON or a form")
    return validated(schema, read_json(data))


def content_type(request: Request) -> str:
    """The media type without its parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def read_json(data: bytes) -> Any:
    """JSON that is an object; Refusal if it is none, or nested beyond reason."""
    try:
        if sum(map(data.count, (b",", b"[", b"{"))) > MAX_ITEMS:
            raise ValueError("more values than any request has")
        content = json.loads(
            data or b"{}", parse_constant=_no_constant, object_pairs_hook=_named_once
        )
        if b"\\u" in data:
            json.dumps(content, ensure_ascii=False).encode()  # a lone surrogate is no text
    except RecursionError as error:
        raise Refusal("invalid_json", "the body is not valid JSON: nested too deeply") from error
    except UnicodeError as error:
        raise Refusal("invalid_json", "the body is not valid JSON: a character is none") from error
    except ValueError as error:  # a parser tells places, and repeats nothing that stands there
        raise Refusal("invalid_json", f"the body is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise Refusal("invalid_json", "the body must be a JSON object")
    return content


def validated(schema: type[Body], content: Mapping[str, Any]) -> Body:
    """``schema`` from ``content``; the message names the field and never repeats its value."""
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise invalid(error.errors(include_input=False, include_context=False)) from error


def invalid(errors: Any) -> Refusal:
    """What pydantic found, as one Refusal."""
    messages = []
    for error in list(errors)[:3]:
        place = ".".join(str(part) for part in error["loc"])[:MAX_NAME]
        message = error["msg"].removeprefix("Value error, ")
        messages.append(f"{place}: {message}" if place else message)
    return Refusal("invalid_request", "; ".join(messages))


def fields(data: bytes, header: str) -> dict[str, str]:
    """The text fields of a form; Refusal for a file among them, or more than the limits."""
    texts: dict[str, str] = {}
    for part in parts(data, header):
        if part.name in texts:
            raise Refusal("invalid_multipart", "a field stands twice in the form")
        try:
            texts[part.name] = part.data.decode()
        except UnicodeDecodeError as error:
            raise Refusal("invalid_multipart", "a field is not UTF-8 text") from error
    return texts


def parts(data: bytes, header: str) -> list[Part]:
    """The parts of a form in either encoding; Refusal if it is broken or over the limits."""
    try:
        kind, options = parse_options_header(header)
        if kind == b"application/x-www-form-urlencoded":
            return _urlencoded(data)
        boundary = options.get(b"boundary")
        if not boundary:
            raise Refusal("invalid_multipart", "the form's boundary is missing")
        return _multipart(data, boundary)
    except FormParserError as error:
        raise Refusal("invalid_multipart", "the form is not well-formed") from error


class _Form:
    """What a form's parser calls: the parts so far, and the header that is being read."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._name, self._value = bytearray(), bytearray()
        self._disposition = b""

    def callbacks(self) -> MultipartCallbacks:
        """By the parser's names."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._finish_headers,
            "on_part_data": self._content,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._disposition = b""
        if len(self.parts) >= MAX_PARTS:
            raise Refusal("invalid_multipart", f"a form has at most {MAX_PARTS} parts here")
        self.parts.append(Part())

    def _end_header(self) -> None:
        name, value = bytes(self._name).lower(), bytes(self._value)
        if name == b"content-disposition":
            if self._disposition:  # who looked at the form before us may have read the other one
                raise Refusal("invalid_multipart", "a part of the form has two names")
            self._disposition = value
        if name == b"content-transfer-encoding" and value.strip().lower() not in PLAIN:
            detail = "a part of the form has a transfer encoding, which forms have no longer"
            raise Refusal("invalid_multipart", detail, hint="send its bytes as they are")
        self._name.clear()
        self._value.clear()

    def _finish_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"")
        if not name or len(name) > MAX_NAME:
            raise Refusal("invalid_multipart", "a part of the form has no usable name")
        self.parts[-1].name = name.decode("utf-8", "replace")
        self.parts[-1].is_file = b"filename" in options or b"filename*" in options

    def _content(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        part.data += data[start:end]
        if not part.is_file and len(part.data) > MAX_FIELD:
            raise Refusal("body_too_large", f"a field has at most {MAX_FIELD} bytes here")

    def _end(self) -> None:
        self.ended = True


def _multipart(data: bytes, boundary: bytes) -> list[Part]:
    # A preamble before the first boundary is skipped (RFC 2046, 5.1.1); the parser knows none.
    opening = b"--" + boundary
    if not data.startswith(opening) and (before := data.find(b"\r\n" + opening)) >= 0:
        data = data[before + 2 :]
    form = _Form()
    parser = MultipartParser(
        boundary,
        form.callbacks(),
        max_header_count=MAX_HEADERS,
        max_header_size=MAX_HEADER_BYTES,
    )
    parser.write(data)
    parser.finalize()
    if not form.ended:
        raise Refusal("invalid_multipart", "the form ends before its last boundary")
    return form.parts


def _urlencoded(data: bytes) -> list[Part]:
    from urllib.parse import unquote_to_bytes

    form: list[Part] = []
    names, values = bytearray(), bytearray()
    if data.count(b"&") > 4 * MAX_PARTS:
        raise Refusal("invalid_multipart", "the form is over its limits")

    def end() -> None:
        if len(form) >= MAX_PARTS or len(names) > MAX_NAME or len(values) > 3 * MAX_FIELD:
            raise Refusal("invalid_multipart", "the form is over its limits")
        name, value = (unquote_to_bytes(bytes(raw).replace(b"+", b" ")) for raw in (names, values))
        form.append(Part(name.decode("utf-8", "replace"), False, bytearray(value)))
        names.clear()
        values.clear()

    parser = QuerystringParser(
        {
            "on_field_name": lambda b, s, e: names.extend(b[s:e]),
            "on_field_data": lambda b, s, e: values.extend(b[s:e]),
            "on_field_end": end,
        }
    )
    parser.write(data)
    parser.finalize()
    return form


def _unflattened(form: Mapping[str, str]) -> dict[str, Any]:
    """A form's fields as JSON would have them: ``window`` is "centre,width", empty is absent."""
    content: dict[str, Any] = {name: value for name, value in form.items() if value != ""}
    if isinstance(window := content.get("window"), str):
        centre, _, width = window.partition(",")
        content["window"] = {"centre": centre.strip(), "width": width.strip()}
    return content


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; readers differ in which of two values of one name counts (RFC 8259, 4)."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands twice")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
