"""A model behind an OpenAI-compatible server: vLLM and its like, where one machine is outgrown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from vesalius.cases.tasks import Content
from vesalius.errors import ModelError
from vesalius.models import Lesson
from vesalius.models.box_convention import BoxConvention
from vesalius.models.capabilities import Pictures
from vesalius.models.codecs import Replies, classes_in
from vesalius.models.generative.text.families import NamedConvention
from vesalius.models.guard import require_pictures
from vesalius.models.remote.client import Server
from vesalius.models.remote.model import RemoteModel
from vesalius.run import Run
from vesalius.settings import Frozen
from vesalius.system.addresses import is_loopback
from vesalius.system.files import read_json, write_json

FILE = "endpoint.json"


class EndpointSettings(Frozen):
    """Which server is asked, and how."""

    base_url: str
    """The server's URL, such as ``http://127.0.0.1:8001/v1``; no user or password in it."""
    model: str | None = None
    """The model's name there; null: the first one that the server lists."""
    serves: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """The folder of the run whose weights the server serves: before it is asked, 32 items must be
    answered as that run answers them (``vesalius parity``). It goes with ``model``."""
    remote: bool = False
    """The server may be on another machine: pictures and questions then leave this one."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the key; null: none is sent."""
    pictures: Pictures = "required"
    """``required``: a dialogue without a picture is refused; ``optional``: it is asked without;
    ``none``: the server is sent no pictures, for models that read text only."""
    answers: Content = "text"
    """What its text is read as: ``text``, ``boxes`` or ``concepts``; what cannot be read so counts
    as an abstention. The instruction has to say how to write them."""
    boxes: NamedConvention | None = Field(default=None, exclude_if=lambda value: value is None)
    """How it writes boxes: a family's name (``qwen3_vl``, ``internvl`` ...), or a block such as
    ``{key: bbox_2d, scale: 1000, digits: 0}``. By default as shares of the sides."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """So many questions are with the server at a time."""
    timeout: float = Field(default=300, gt=0, le=86_400)
    """Seconds that one answer may take."""
    retries: int = Field(default=5, ge=0, le=20)
    """How often a question is asked again where the server is busy (429, 503): after as many
    seconds as it says, at most 120, else after 1, 2, 4 ..."""

    @field_validator("base_url")
    @classmethod
    def _plain(cls, url: str) -> str:
        return plain_url(url)

    @field_validator("boxes")
    @classmethod
    def _scaled(cls, boxes: BoxConvention | None) -> BoxConvention | None:
        if boxes is not None and boxes.scale is None:
            what = "how a server resizes pictures is not known, and so no pixels of them"
            raise ValueError(f"{what}: name a scale, and ask for it in the instruction")
        return boxes

    @model_validator(mode="after")
    def _of_boxes(self) -> EndpointSettings:
        if self.boxes is not None and self.answers != "boxes":
            raise ValueError("boxes says how boxes are written: it goes with answers: boxes")
        return self

    @model_validator(mode="after")
    def _of_a_run(self) -> EndpointSettings:
        if self.serves is not None and self.model is None:
            raise ValueError("serves names a run: say in model what the server calls it")
        return self

    @model_validator(mode="after")
    def _on_this_machine(self) -> EndpointSettings:
        host = urlsplit(self.base_url).hostname or ""
        if not self.remote and not is_loopback(host):
            raise ValueError(f"{host} is another machine: set remote: true to send pictures there")
        return self


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Asks the model of an OpenAI-compatible server; nothing is trained, nothing computed here."""

    Settings: ClassVar[type[EndpointSettings]] = EndpointSettings
    needs_image: ClassVar[bool] = True
    computes: ClassVar[bool] = False

    settings: EndpointSettings

    def check(self, *, validated: bool) -> None:
        """Refuse, before any data are read, a server that is not there or has no such model."""
        del validated  # nothing is chosen
        model = self.model(self.settings.model)
        try:
            model.look()
        finally:
            model.close()

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Note which model the server has, so that every prediction is of that one."""
        model = self.model(self.settings.model)
        if model.needs_image:
            require_pictures(lesson.train)
        try:
            model.look()
            boxes = self.settings.answers == "boxes"
            classes = {"classes": classes_in(lesson.train)} if boxes else {}
            write_json(run.weights / FILE, model.about() | classes)
        finally:
            model.close()

    def load(self, run: Run) -> RemoteModel:
        """The model of the server; ModelError if its key is not in the environment."""
        facts: dict[str, Any] = read_json(run.weights / FILE)
        return self.model(facts.get("model"), facts.get("classes"))

    @property
    def takes_pictures(self) -> Pictures:
        """As the recipe says."""
        return self.settings.pictures

    @property
    def pictures_in_turns(self) -> bool:
        """A request has each picture in the turn that shows it."""
        return True

    def model(self, name: str | None, classes: Sequence[str] | None = None) -> RemoteModel:
        """The server's model of that name, or its first; ModelError for a key that is not there."""
        settings = self.settings
        known = None if classes is None else tuple(classes)
        server = Server(
            url=settings.base_url,
            model=name,
            key=None if settings.key_env is None else key_of(settings.key_env),
            concurrency=settings.concurrency,
            timeout=settings.timeout,
            retries=settings.retries,
            pictures=settings.pictures != "none",
            answers=Replies(settings.answers, settings.boxes or BoxConvention(), known),
        )
        return RemoteModel(server, needs_image=settings.pictures == "required")


def plain_url(url: str) -> str:
    """The URL of a server; ValueError unless it is HTTP's and free of credentials."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("not a URL") from error
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise ValueError("no credentials in a URL: name a variable in key_env")
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("not a URL of the form http://host:port/v1")
    if parts.query or parts.fragment:
        raise ValueError("a URL without ?query and #fragment")
    return url


def key_of(variable: str) -> str:
    """The key in an environment variable; ModelError if there is none that a header can hold."""
    key = os.environ.get(variable, "").strip()
    if not key:
        hint = f"export {variable}=..."
        raise ModelError("holds no key for the model's server", where=variable, hint=hint)
    if not key.isascii() or not key.isprintable():
        raise ModelError("a key has printable ASCII characters only", where=variable)
    return key
