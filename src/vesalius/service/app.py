"""The FastAPI application around a Service: routes, one place for errors, the gate outermost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp

from vesalius.errors import Refusal, VesaliusError
from vesalius.service.container import Service
from vesalius.service.http import bodies, problems
from vesalius.service.http.gate import EXPOSED, Gate
from vesalius.service.http.routes import (
    completions,
    conversations,
    operations,
    pictures,
    questions,
    reports,
    responses,
    review,
    review_lead,
    studies,
)
from vesalius.service.telemetry import place_of
from vesalius.system.version import __version__

ROUTES = (
    pictures, studies, questions, reports, conversations, review, review_lead, completions,
    responses, operations,
)  # fmt: skip
ASKING = ("/ask_question", "/caption", "/v1/chat/completions", "/v1/responses")
HTTP_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "body_too_large",
}
DESCRIPTION = """Medical images with their words, asked over HTTP.

**For research use only. Not a medical device.**

Errors are RFC 9457 problem+json with a stable `code`. Callers beyond this machine send
`Authorization: Bearer <key>`.
"""


def application(service: Service) -> ASGIApp:
    """The whole service as an ASGI application."""
    shed = dict.fromkeys(ASKING, service.require_room)
    app: ASGIApp = fastapi(service)
    settings = service.settings
    if settings.origins:
        app = _Origins(
            app,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", settings.user_header],
            expose_headers=EXPOSED,
        )
    return Gate(app, settings, service.metrics, traces=service.traces, shed=shed)


def fastapi(service: Service) -> FastAPI:
    """The routes without the gate."""

    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = FastAPI(
        title="Vesalius",
        version=__version__,
        description=DESCRIPTION,
        lifespan=living,
        docs_url=None,  # it loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # to http:// behind a proxy, with key and picture
    )
    app.state.service = service
    for module in ROUTES:
        app.include_router(module.router)
    app.add_exception_handler(VesaliusError, _problem_response)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _fault)
    _secured(app)
    return app


class _Origins(CORSMiddleware):
    """Starlette's, whose refusals are problems like all others."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """What a browser is told that asks before it calls."""
        answer = super().preflight_response(request_headers)
        if answer.status_code >= 400:
            allowed = ", ".join([*self.allow_methods, *self.allow_headers])
            detail = "pages may not call with this method or header"
            raise Refusal("origin_not_allowed", detail, hint=f"allowed: {allowed}")
        return answer


def _answer(request: Request, error: VesaliusError, cause: Exception) -> Response:
    state = request.scope["state"]
    state["problem"] = error.code
    if problems.kind_of(error.code).status == 500:
        state["fault"] = place_of(cause)
    openai = request.url.path.startswith("/v1/")
    return problems.response(error, state["request_id"], openai=openai)


async def _problem_response(request: Request, error: Exception) -> Response:
    assert isinstance(error, VesaliusError)
    return _answer(request, error, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    refusal = bodies.invalid(error.errors())
    # An id of a wrong form is an id that does not exist.
    if any(e["loc"][0] == "path" for e in error.errors()):
        refusal = Refusal("not_found", "there is no such thing")
    return _answer(request, refusal, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTP_CODES.get(error.status_code, "bad_request")
    answer = _answer(request, Refusal(code, str(error.detail)), error)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


async def _left(request: Request, error: Exception) -> Response:
    return _answer(request, Refusal("cancelled", "the caller went away"), error)


async def _fault(request: Request, error: Exception) -> Response:
    return _answer(request, Refusal("internal", "a fault of the service"), error)


def _secured(app: FastAPI) -> None:
    """OpenAPI says how callers are known."""
    generate = app.openapi

    def described() -> dict[str, Any]:
        schema = generate()
        schemes = schema.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["bearer"] = {"type": "http", "scheme": "bearer", "description": "A key or a login"}
        schema["security"] = [{"bearer": []}, {}]
        for methods in schema["paths"].values():
            for operation in methods.values():
                # FastAPI's own words for bad fields: here they are problems like all others.
                if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                    del operation["responses"]["422"]
        return schema

    app.openapi = described  # type: ignore[method-assign]
