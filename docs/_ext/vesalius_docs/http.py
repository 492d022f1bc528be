"""The API's reference: its endpoints as OpenAPI tells them, and every problem by its code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from vesalius_docs.words import code, table

HEAD = """# HTTP API

What `vesalius serve` answers; the machine-readable form is at `/openapi.json`. How to call it:
[](../guide/serve.md).
"""
PROBLEMS = """(errors)=
## Problems

Whatever goes wrong is told as `application/problem+json`
([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)): `status`, `title`, `detail` (what is wrong and
what to do), a stable `code`, and a `request_id` that finds the line in the log. 429 and 503 come
with `Retry-After`.
"""


def page() -> str:
    """Endpoints, then problems."""
    from vesalius.service.http.problems import TABLE

    rows = [
        (f'<span id="{name}"></span>{code(name)}', str(kind.status), kind.title)
        for name, kind in TABLE.items()
    ]
    return "\n".join(
        [HEAD, *_endpoints(), PROBLEMS, table(("code", "status", "what it means"), rows)]
    )


def _endpoints() -> list[str]:
    parts = []
    for path, operations in schema()["paths"].items():
        for method, operation in operations.items():
            parts += [f"## {method.upper()} {path}\n", operation["description"] + "\n"]
            parts += _fields(operation)
    return parts


def schema() -> dict[str, Any]:
    """The OpenAPI description, of an app around nothing."""
    from vesalius.service.app import fastapi
    from vesalius.service.settings import Settings

    nothing: Any = SimpleNamespace(settings=Settings())
    document: dict[str, Any] = fastapi(nothing).openapi()
    return document


def _fields(operation: dict[str, Any]) -> list[str]:
    rows = [
        (code(p["name"]), p["in"], _type(p["schema"]), p.get("description", ""))
        for p in operation.get("parameters", ())
    ]
    content = operation.get("requestBody", {}).get("content", {})
    body = next(iter(content.values()), {}).get("schema", {})
    needed = body.get("required", ())
    rows += [
        (
            code(name),
            "body" + (", needed" if name in needed else ""),
            _type(field),
            " ".join(str(field.get("description", "")).split()),
        )
        for name, field in body.get("properties", {}).items()
    ]
    return [table(("field", "where", "type", ""), rows)] if rows else []


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return ", ".join(str(one) for one in schema["enum"])
    return str(schema.get("format") or schema.get("type", "object"))
