"""What the service tells of itself: metrics, logs and traces, none with ids, words or secrets."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Prometheus metrics of one process; labels are routes, methods, statuses and codes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter(
            "vesalius_requests", "Requests", ("method", "route", "status"), **own
        )
        self.seconds = Histogram(
            "vesalius_request_seconds", "Seconds a request", ("route",), buckets=SECONDS, **own
        )
        self.problems = Counter("vesalius_problems", "Problems told", ("code",), **own)
        self.uploads = Counter("vesalius_uploads", "Pictures taken in", ("kind",), **own)
        self.text_found = Counter(
            "vesalius_burned_in_text", "Pictures in which text was found", ("action",), **own
        )
        self.answers = Counter("vesalius_answers", "Answers by how they ended", ("finish",), **own)
        self.first = Histogram(
            "vesalius_first_token_seconds",
            "Seconds to an answer's first piece",
            buckets=SECONDS,
            **own,
        )
        self.tokens = Counter("vesalius_tokens", "Tokens", ("kind",), **own)
        self.deleted = Counter("vesalius_deleted", "Deleted by age or on request", ("what",), **own)
        self.engine = Gauge("vesalius_engine", "The engine's state", ("what",), **own)

    def exposition(self, load: dict[str, Any], ready: bool) -> bytes:
        """Prometheus' text, the engine's numbers read now."""
        self.engine.labels("ready").set(ready)
        for name, value in load.items():
            if isinstance(value, int | float):
                self.engine.labels(name).set(value)
        text: bytes = generate_latest(self.registry)
        return text


def configure_logs(form: str, level: str) -> None:
    """Structured lines on standard error; other libraries' loggers are kept to warnings.

    uvicorn's access log is off: it would write paths, and ids are in them.
    """
    render: Any = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx2", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Tracebacks quote values; the gate logs where a fault was, without them.
    logging.getLogger("uvicorn.error").addFilter(_without_traceback)


def log() -> Any:
    """The service's logger."""
    return structlog.get_logger("vesalius")


def place_of(error: BaseException) -> str:
    """Type and place (file:line) of a fault, without its message, which may quote a request."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is None:
        return type(error).__name__
    file = frame.tb_frame.f_code.co_filename.rpartition("/")[2]
    return f"{type(error).__name__} at {file}:{frame.tb_lineno}"


def trace(app: Any, endpoint: str | None) -> None:
    """Send traces of requests to an OTLP endpoint; MissingExtra without the packages."""
    if endpoint is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        from vesalius.errors import MissingExtra

        raise MissingExtra("opentelemetry-sdk", "telemetry") from error
    provider = TracerProvider(resource=Resource.create({"service.name": "vesalius"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=provider,
        server_request_hook=_without_ids,
        exclude_spans=["send", "receive"],
    )


def _without_ids(span: Any, _scope: dict[str, Any]) -> None:
    """Paths carry ids: a span keeps the method only, and its route, which has none."""
    if span is not None and span.is_recording():
        for name in ("http.target", "http.url", "url.path", "url.full", "url.query"):
            span.set_attribute(name, "")


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    record.exc_text = None
    return True
