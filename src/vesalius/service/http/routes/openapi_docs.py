"""What OpenAPI says of bodies and errors: examples for each request and each problem."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from vesalius.service.http.problems import DOCUMENTED, MEDIA_TYPE, TABLE
from vesalius.service.http.schemas import Problem

EVERYWHERE = (
    "bad_request",
    "unauthenticated",
    "invalid_key",
    "forbidden",
    "host_not_allowed",
    "timeout",
    "head_too_large",
    "rate_limited",
    "internal",
    "storage_unavailable",
)
"""Problems that any endpoint for callers may tell."""
STREAM = {
    "description": "With `stream`: server-sent events `meta`, `token` ..., `done` or `error`.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": 'event: meta\ndata: {"answer_id": "ans_…"}\n\n'
            'event: token\ndata: {"text": "a nodule"}\n\nevent: done\ndata: {…}\n\n',
        }
    },
}


def problems(*codes: str, called: bool = True) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses by status, an example for every code."""
    responses: dict[int | str, dict[str, Any]] = {}
    for code in (*codes, *(EVERYWHERE if called else ("internal",))):
        kind = TABLE[code]
        response = responses.setdefault(
            kind.status,
            {
                "description": kind.title,
                "content": {MEDIA_TYPE: {"schema": inlined(Problem), "examples": {}}},
            },
        )
        example = {
            "type": f"{DOCUMENTED}#{code}",
            "title": kind.title,
            "status": kind.status,
            "detail": f"{kind.title.lower()}: what is wrong, and what to do",
            "code": code,
            "request_id": "req_5f2b8c1d9e4a7b3c6d0e1f2a",
        }
        response["content"][MEDIA_TYPE]["examples"][code] = {"value": example}
    return responses


def content_response(
    description: str, *types: str, model: type[BaseModel] | None = None
) -> dict[int | str, dict[str, Any]]:
    """An OpenAPI response that is of one of these media types, or JSON as ``model`` says."""
    content: dict[str, Any] = {kind: {"schema": _content(kind)} for kind in types}
    if model is not None:
        content["application/json"] = {"schema": inlined(model)}
    return {200: {"description": description, "content": content}}


def _content(kind: str) -> dict[str, Any]:
    return {"type": "string"} | ({} if kind.startswith("text/") else {"format": "binary"})


def body(schema: type[BaseModel], example: dict[str, Any], *, form: bool = True) -> dict[str, Any]:
    """``openapi_extra`` of a body that is JSON or, with the same fields, a form."""
    content: dict[str, Any] = {
        "application/json": {"schema": inlined(schema), "example": example},
    }
    if form:
        flat = {**inlined(schema)}
        flat["properties"] = dict(flat["properties"])
        if "window" in flat["properties"]:
            flat["properties"]["window"] = {
                "type": "string",
                "description": "centre,width",
                "pattern": r"^-?\d{1,6}(\.\d{1,3})?,\d{1,6}(\.\d{1,3})?$",
            }
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
            content[kind] = {"schema": flat, "example": example}
    return {"requestBody": {"required": True, "content": content}}


def upload() -> dict[str, Any]:
    """``openapi_extra`` of the upload: one file part."""
    file = {"type": "string", "format": "binary", "description": "PNG, JPEG ... or DICOM."}
    schema = {
        "type": "object",
        "properties": {
            "image_file": file,
            "file": {**file, "description": "The same."},
            "mask": {"type": "boolean", "description": "Cover text burned into the picture."},
        },
        "oneOf": [{"required": ["image_file"]}, {"required": ["file"]}],
        "additionalProperties": False,
    }
    example = {"image_file": "(the bytes of scan.png)", "mask": False}
    content = {"multipart/form-data": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def inlined(schema: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON schema without references, as an operation can hold it."""
    root = schema.model_json_schema()
    definitions = root.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolved(definitions[node["$ref"].rpartition("/")[2]])
            return {key: resolved(value) for key, value in node.items()}
        return [resolved(item) for item in node] if isinstance(node, list) else node

    flat: dict[str, Any] = resolved(root)
    return flat
