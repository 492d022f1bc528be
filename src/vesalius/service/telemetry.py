"""What the service tells of itself: metrics, logs and traces, none with ids, words or secrets."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from vesalius.errors import MissingExtra

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
        self.burned_in_text = Counter(
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
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx2", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Tracebacks quote values; the gate logs where a fault was, without them.
    for name in ("uvicorn.error", "asyncio", "sqlalchemy.pool", "sqlalchemy.engine"):
        logging.getLogger(name).addFilter(_without_words)


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


class Traces:
    """A span for every request, sent to an OTLP endpoint: route, method and status, nothing more.

    Written by hand: instrumentation of the shelf puts paths into its spans, and ids are in them.
    MissingExtra without the packages.
    """

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry import propagate, trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise MissingExtra("opentelemetry-sdk", "telemetry") from error
        self._provider = TracerProvider(resource=Resource.create({"service.name": "vesalius"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("vesalius")
        self._kind, self._extract = trace.SpanKind.SERVER, propagate.extract

    def request(self, fields: dict[str, Any], headers: Mapping[str, str], seconds: float) -> None:
        """The span of a request that has just ended, under its caller's trace if it names one."""
        end = time.time_ns()
        span = self._tracer.start_span(
            f"{fields['method']} {fields['route']}",
            context=self._extract(headers),
            kind=self._kind,
            start_time=end - int(seconds * 1e9),
            attributes={
                "http.request.method": fields["method"],
                "http.route": fields["route"],
                "http.response.status_code": fields["status"],
                "vesalius.request_id": fields["request_id"],
            },
        )
        span.end(end)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def _without_words(record: logging.LogRecord) -> bool:
    """Of an exception the kind alone; asyncio's messages hold it as text as well."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = place_of(record.exc_info[1]), ()
    record.exc_info = record.exc_text = None
    return True
