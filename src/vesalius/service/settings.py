"""What the service allows and where it keeps things: each value by environment, validated.

Reads ``VESALIUS_*`` variables; options of ``vesalius serve`` go over them. Knows no run.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from vesalius.cases.decoded import Limits
from vesalius.errors import RecipeError
from vesalius.system.addresses import is_loopback

MIB = 2**20
TextPolicy = Literal["off", "flag", "later", "mask"]
Names = Annotated[tuple[str, ...], NoDecode]
"""A comma-separated list."""


class Settings(BaseSettings):
    """Everything that can be set. The docstring below a field is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix="VESALIUS_",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    # what answers
    run: Path | None = None
    """A fitted run's folder."""
    model: str | None = None
    """Without a run: a hub id or folder of a vision-language model."""
    endpoint: str | None = None
    """Without either: the URL of an OpenAI-compatible server, such as vLLM's ``.../v1``."""
    endpoint_model: str | None = None
    """The model's name there; default: the first one it lists."""
    endpoint_key: SecretStr | None = None
    """The key for that server."""
    replay: str | None = None
    """A file of predictions that is played back, or ``echo``: for tests and load, never for
    answers."""
    replay_seconds: float = Field(default=0.2, ge=0, le=60)
    """How long a played-back batch takes."""
    history: Literal["auto", "own", "none"] = "auto"
    """Whether a question is asked after the conversation's earlier turns (``own``) or alone
    (``none``); ``auto``: after them if the run was fitted on dialogues, or there is no run."""
    abstain_below: float | None = Field(default=None, ge=0, le=1)
    """Answers of less confidence are marked as abstained; default: those that a calibrated run's
    validation says are more likely wrong than right, else none. 0: none."""

    review: int = Field(default=0, ge=0)
    """So many of the run's test answers, drawn once, are put up for experts to rate; their pictures
    are shown to every caller."""
    review_with: Names = ()
    """Shuffled in with them, blinded: folders of other runs, and ``references``."""

    review_leads: Names = ()
    """Logins, or names of keys, of those who adjudicate and take packages out and tables in; none:
    whoever calls where no key is needed."""

    # where it listens
    host: str = "127.0.0.1"
    """Beyond loopback, callers need keys or a login."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 chooses a free one."""
    origins: Names = ()
    """Web pages (origins) that browsers may call from; none by default."""
    hosts: Names = ()
    """Names under which it may be called; on loopback ``localhost`` and its addresses only."""

    # where it keeps things
    state: Path = Path("vesalius-state")
    """The folder of database and pictures, unless these are told apart."""
    database_url: str | None = None
    """SQLAlchemy's URL; default: SQLite in ``state``."""
    pictures_url: str | None = None
    """A folder, or an fsspec URL such as ``s3://bucket/prefix``; default: in ``state``."""
    ephemeral: bool = False
    """State may vanish with the machine: said on purpose where the disk is not kept (Cloud Run)."""
    image_hours: float = Field(default=24, gt=0)
    """Pictures are deleted after so many hours; what was said of them stays."""
    text_days: float = Field(default=30, gt=0)
    """Conversations are deleted so many days after their last turn."""
    sweep_seconds: float = Field(default=300, gt=0)
    """How often what is past its time is deleted."""

    # who may call
    keys: Literal["auto", "on", "off"] = "auto"
    """Whether callers need a key; ``auto``: everywhere but on loopback."""
    oidc_issuer: str | None = None
    """A login's issuer: its tokens are taken as bearer tokens beside keys."""
    oidc_audience: str | None = None
    """The audience that such tokens must name."""
    user_header: str = "X-Vesalius-User"
    """Names the person for whom a trusted caller (a key made with --for-others) asks."""
    rate_per_minute: int = Field(default=120, ge=1)
    """Requests per caller and minute; a key may have a limit of its own."""
    views_per_minute: int = Field(default=3000, ge=1)
    """Views of pictures (``GET /images/{image_id}``), which are no other requests, alike."""
    rate_storage: str = "memory://"
    """Where counts are kept: ``memory://`` for each process apart, or a URL of ``limits``."""

    # how much
    max_body: int = Field(default=20 * MIB, ge=1024)
    """Bytes of a request."""
    max_held: int = Field(default=256 * MIB, ge=1024)
    """Bytes of all requests being served, together; more are told to come again."""
    max_pixels: int = Field(default=40_000_000, ge=1)
    """Pixels of a frame, checked from the header before anything is decoded."""
    max_total_pixels: int = Field(default=400_000_000, ge=1)
    """Pixels of all frames together."""
    max_aspect: float = Field(default=200, ge=1)
    """How many times longer one side may be than the other."""
    max_frames: int = Field(default=512, ge=1)
    """Frames of a picture."""
    max_study: int = Field(default=512, ge=1)
    """Pictures of one study."""
    owner_mib: int = Field(default=2048, ge=1)
    """Memory for the kept pictures of one owner."""
    max_question: int = Field(default=2000, ge=1)
    """Characters of a question."""
    max_turns: int = Field(default=20, ge=1)
    """Turns of a conversation."""
    max_tokens: int = Field(default=512, ge=1, le=4096)
    """New tokens a caller may ask for."""
    deadline: float = Field(default=60, gt=0)
    """Seconds from a request to its answer."""
    header_deadline: float = Field(default=30, gt=0)
    """Seconds in which a request's head must have arrived."""
    body_deadline: float = Field(default=60, gt=0)
    """Seconds in which its body must have arrived."""
    connections: int = Field(default=1000, ge=1)
    """Open connections; more are closed at once."""
    heartbeat: float = Field(default=15, gt=0)
    """Seconds of silence after which a stream says that it lives."""
    grace: float = Field(default=20, ge=0)
    """Seconds in which a stopping service finishes what it has begun."""
    drain: float = Field(default=1, ge=0)
    """Seconds for which it says on SIGTERM that it is not ready, and serves, before that."""

    # the engine
    queue: int = Field(default=32, ge=1)
    """Questions that may wait; more are refused."""
    batch: int = Field(default=8, ge=1, le=64)
    """Questions answered together; the answers do not depend on it."""
    batch_wait: float = Field(default=0.01, ge=0, le=1)
    """Seconds for which a batch is gathered; where several people ask, also for a twentieth of what
    the last one took."""
    cache_mib: int = Field(default=512, ge=0)
    """Memory for the key-value prefixes of pictures and conversations; 0 keeps none."""

    # pictures in
    decoders: int = Field(default=2, ge=1, le=64)
    """Processes that decode what strangers send."""
    decoder_mib: int = Field(default=3072, ge=256)
    """Memory of each."""
    decoder_seconds: float = Field(default=20, gt=0)
    """Time of each for one picture."""
    text_in_dicom: TextPolicy = "flag"
    """Text burned into a DICOM picture: not looked for, told as a warning, told later by
    ``GET /images/{image_id}`` (the upload does not wait for it), or blackened."""
    text_seconds: float = Field(default=60, gt=0)
    """Time in which it is looked for in one picture."""
    text_in_pictures: TextPolicy = "off"
    """The same for other pictures."""
    image_hosts: Names = ()
    """Hosts from which OpenAI's requests may have a picture fetched; none: ``data:`` URLs only.

    A port other than 443 is named with its host: ``pacs.example:8080``."""

    # what it tells
    log_format: Literal["json", "console"] = "json"
    """Logs hold routes, statuses and times; no ids, questions or secrets."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged."""
    otlp_endpoint: str | None = None
    """Where OpenTelemetry traces go (extra ``telemetry``); none by default."""

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, values: Any) -> Any:
        """Comma-separated lists, as environments have them."""
        for name in ("origins", "hosts", "image_hosts", "review_with", "review_leads"):
            if isinstance(values.get(name), str):
                values[name] = tuple(
                    part.strip() for part in values[name].split(",") if part.strip()
                )
        return values

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [n for n in ("run", "model", "endpoint", "replay") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"only one of run, model, endpoint and replay, not {given}")
        if self.review and self.run is None:
            raise ValueError("review: only of a run")
        if self.review_with and not self.review:
            raise ValueError("review_with: only with review, the number of questions")
        if (self.oidc_issuer is None) != (self.oidc_audience is None):
            raise ValueError("oidc_issuer and oidc_audience belong together")
        if self.keys == "off" and not self.loopback:
            raise ValueError(f"keys cannot be off on {self.host}: only on loopback")
        return self

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def need_keys(self) -> bool:
        """Whether a caller must say who it is."""
        open_door = not self.loopback or self.oidc_issuer is not None or bool(self.hosts)
        return self.keys == "on" or (self.keys == "auto" and open_door)

    @property
    def limits(self) -> Limits:
        """The limits on pictures."""
        return Limits(
            max_bytes=self.max_body,
            max_pixels=self.max_pixels,
            max_aspect=self.max_aspect,
            max_frames=self.max_frames,
            max_total_pixels=self.max_total_pixels,
        )

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{(self.state / 'vesalius.db').absolute()}"

    @property
    def pictures(self) -> str:
        """The pictures' folder or URL."""
        return self.pictures_url or str((self.state / "pictures").absolute())

    def require_durable_state(self) -> None:
        """RecipeError where state would be lost: a local disk under Cloud Run, unless told so."""
        local = self.database.startswith("sqlite") or not _afar(self.pictures)
        if os.environ.get("K_SERVICE") and local and not self.ephemeral:
            raise RecipeError(
                "this is Cloud Run, whose disk is lost with every instance",
                where="VESALIUS_DATABASE_URL, VESALIUS_PICTURES_URL",
                hint="name PostgreSQL and a bucket, or set VESALIUS_EPHEMERAL=true on purpose",
            )


def _afar(pictures: str) -> bool:
    scheme, apart, _ = pictures.partition("://")
    return bool(apart) and scheme not in {"file", "local", "memory"}


def settings(**values: Any) -> Settings:
    """Settings of the environment with ``values`` over them; RecipeError names what is wrong."""
    try:
        return Settings(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        where = f"VESALIUS_{name.upper()}" if name else "settings"
        message = first["msg"].removeprefix("Value error, ")
        raise RecipeError(message, where=where) from error
