"""The API as the page calls it: typed answers, errors as sentences. Knows nothing of Streamlit."""

from __future__ import annotations

import time
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from vesalius.service.http.answer_schemas import (
    ConversationOut,
    ConversationPage,
    ConversationWhole,
)
from vesalius.service.http.review_schemas import (
    AdjudicationOut,
    RatingRequest,
    ReviewOut,
    TableOut,
)
from vesalius.service.http.schemas import (
    AskRequest,
    CaptionRequest,
    Deleted,
    FeedbackRequest,
    Suggestion,
    TitleRequest,
    Uploaded,
    UploadPage,
    Window,
)
from vesalius.service.http.study_schemas import StudyOut, StudyPage, StudyRequest
from vesalius.service.web.api_errors import ApiError, error_of, foreign, unreachable
from vesalius.service.web.rules import Version
from vesalius.service.web.stream import Answering

T = TypeVar("T", bound=BaseModel)
PATIENCE = 10.0
"""Seconds for which a 429 is waited out, once; longer ones are told to the person."""
_TIMES = httpx2.Timeout(90.0, connect=5.0)
FILE_NAME = "picture"
"""Sent in place of the file's own name, which may name a patient."""


class Sent(Uploaded):
    """A picture that was sent, and whether it was not there before."""

    is_new: bool = True


class Api:
    """The service at ``url``, asked with ``key`` for ``user``, the login of whoever is at the page.

    Every method raises ApiError. Where the service says 429 and a short wait, it is waited once.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        user: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if user:
            headers["X-Vesalius-User"] = quote(user, safe="@.+-_ ")
        self.user, self._patience = user, patience
        # Proxies of the environment are for the outside world, never for pictures of patients.
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=_TIMES, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self) -> Version:
        """What answers here."""
        return _as(Version, self._json("GET", "/version"))

    def ready(self) -> bool:
        """Whether questions can be asked now."""
        try:
            return bool(self._http.get("/readyz", timeout=5.0).status_code == 200)
        except httpx2.TransportError:
            return False

    def upload(self, data: bytes, *, mask: bool = False, study: str | None = None) -> Sent:
        """Send a picture's bytes, under a neutral name; with ``mask`` text in it is covered.

        ``study``: one that was opened for it and others.
        """
        sent = {"image_file": (FILE_NAME, data, "application/octet-stream")}
        wish = {"mask": "true"} if mask else {}
        params = {} if study is None else {"study": study}
        own: dict[str, Any] = {"files": sent, "data": wish, "params": params}
        response = self._send("POST", "/upload_image", **own)
        picture = _as(Sent, _content(response))
        return picture.model_copy(update={"is_new": response.status_code == 201})

    def open_study(self, files: int) -> StudyOut:
        """Room for so many uploads."""
        return self._study(StudyRequest(files=files))

    def set_study(
        self, image_ids: list[str], *, study_id: str, current: str | None = None
    ) -> StudyOut:
        """Make uploaded pictures a study; ``current``: one of the current examination."""
        return self._study(StudyRequest(image_ids=image_ids, study_id=study_id, current=current))

    def study(self, study_id: str) -> StudyOut:
        """A study with its series."""
        return _as(StudyOut, self._json("GET", f"/studies/{_part(study_id)}"))

    def new_studies(self, *, limit: int = 20) -> StudyPage:
        """This person's studies without a question, newest first."""
        params = {"limit": limit, "asked": False}
        return _as(StudyPage, self._json("GET", "/studies", params=params))

    def delete_study(self, study_id: str) -> None:
        """Delete a study with its pictures for good."""
        self._send("DELETE", f"/studies/{_part(study_id)}")

    def cover(self, image_id: str) -> Uploaded:
        """Cover the writing in a picture: a new one, in its place."""
        return _as(Uploaded, self._json("POST", f"/images/{_part(image_id)}/cover"))

    def about_image(self, image_id: str) -> Uploaded | None:
        """What was told when it was uploaded; None where the service only has the picture."""
        response = self._send(
            "GET", f"/images/{_part(image_id)}", headers={"Accept": "application/json"}
        )
        if not response.headers.get("Content-Type", "").startswith("application/json"):
            return None
        return _as(Uploaded, response.json())

    def image(
        self,
        image_id: str,
        *,
        frame: int | None = None,
        window: Window | None = None,
        patience: float | None = None,
    ) -> bytes:
        """PNG: exactly the picture that the model sees; ``patience`` for this one alone."""
        view = {
            "frame": frame,
            "centre": None if window is None else window.centre,
            "width": None if window is None else window.width,
        }
        params = {name: value for name, value in view.items() if value is not None}
        accept = {"Accept": "image/png"}
        path = f"/images/{_part(image_id)}"
        return self._bytes(path, params=params, headers=accept, patience=patience)

    def small_image(self, image_id: str, side: int) -> bytes | None:
        """PNG of at most ``side`` pixels; None where there is none now: nobody waits for it."""
        options = {"params": {"side": side}, "headers": {"Accept": "image/png"}}
        try:
            return self._bytes(f"/images/{_part(image_id)}", patience=0.0, **options)
        except ApiError:
            return None  # a decoration of a list, which is there without

    def thumbnail(self, picture: str) -> bytes | None:
        """PNG of a similar training picture; None where there is none to show."""
        try:
            return self._bytes(f"/neighbours/{_part(picture)}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def ask(self, request: AskRequest) -> Answering:
        """The answer as it comes; closing it cancels."""
        body = request.model_copy(update={"stream": True}).model_dump(exclude_none=True)
        return Answering(self._http, "/ask_question", body, self._patience)

    def caption(self, request: CaptionRequest) -> Answering:
        """A description of a picture, as it comes."""
        body = request.model_copy(update={"stream": True}).model_dump(exclude_none=True)
        return Answering(self._http, "/caption", body, self._patience)

    def suggestions(self) -> list[str]:
        """Questions that the run was often asked, of different categories."""
        listed = self._json("GET", "/suggestions")
        return [_as(Suggestion, one).question for one in listed]

    def conversations(
        self, *, limit: int = 30, before: str | None = None, search: str = ""
    ) -> ConversationPage:
        """This person's conversations, newest first; ``search``: those with these words."""
        params = {"limit": limit, "search": search} | ({} if before is None else {"before": before})
        return _as(ConversationPage, self._json("GET", "/conversations", params=params))

    def new_uploads(self, *, limit: int = 30) -> UploadPage:
        """This person's pictures of no study and without a question, newest first."""
        params = {"limit": limit, "alone": True, "asked": False}
        return _as(UploadPage, self._json("GET", "/images", params=params))

    def conversation(self, conversation_id: str) -> ConversationWhole:
        """A conversation with its turns."""
        return _as(ConversationWhole, self._json("GET", f"/conversations/{_part(conversation_id)}"))

    def rename(self, conversation_id: str, title: str) -> ConversationOut:
        """Give a conversation another title."""
        body = TitleRequest(title=title).model_dump()
        path = f"/conversations/{_part(conversation_id)}"
        return _as(ConversationOut, self._json("PATCH", path, json=body))

    def delete_conversation(self, conversation_id: str) -> None:
        """Delete it for good."""
        self._send("DELETE", f"/conversations/{_part(conversation_id)}")

    def delete_all(self, what: Literal["conversations", "images"]) -> int:
        """Delete all of this person's for good; how many those were."""
        return _as(Deleted, self._json("DELETE", f"/{what}", params={"all": True})).deleted

    def delete_image(self, image_id: str) -> None:
        """Delete a picture for good."""
        self._send("DELETE", f"/images/{_part(image_id)}")

    def export(self, conversation_id: str, form: Literal["json", "html"]) -> bytes:
        """The conversation as a file."""
        params = {"format": form}
        return self._bytes(f"/conversations/{_part(conversation_id)}/export", params=params)

    def fhir(self, answer_id: str) -> bytes:
        """An answer as FHIR R4 resources, under pseudonyms."""
        return self._bytes(f"/answers/{_part(answer_id)}/fhir")

    def report(self, answer_id: str, data: bytes) -> bytes:
        """An answer as a DICOM report about the file that was uploaded, under a neutral name."""
        sent = {"image_file": (FILE_NAME, data, "application/octet-stream")}
        path = f"/answers/{_part(answer_id)}/report"
        made: bytes = self._send("POST", path, files=sent).content
        return made

    def feedback(self, request: FeedbackRequest) -> None:
        """What a reader thinks of an answer."""
        self._send("POST", "/feedback", json=request.model_dump(exclude_none=True))

    def review(self, item_id: str | None = None) -> ReviewOut:
        """The next answer to rate; or that one again, with what the caller thought of it."""
        return _as(ReviewOut, self._json("GET", "/review", params=item_id and {"item_id": item_id}))

    def review_picture(self, item_id: str) -> bytes:
        """PNG of the picture that it is about."""
        return self._bytes(f"/review/{_part(item_id)}/picture")

    def rate(self, rating: RatingRequest) -> None:
        """What an expert thinks of it."""
        self._send("POST", "/review", json=rating.model_dump(exclude_none=True))

    def adjudication(self, item_id: str | None = None) -> AdjudicationOut:
        """The next answer that raters disagree about; or that one again, with the final word."""
        params = item_id and {"item_id": item_id}
        return _as(AdjudicationOut, self._json("GET", "/review/adjudication", params=params))

    def adjudicate(self, rating: RatingRequest) -> None:
        """The final word on it."""
        self._send("POST", "/review/adjudication", json=rating.model_dump(exclude_none=True))

    def review_package(self, part: Literal["page", "table"]) -> bytes:
        """The review's page for experts without access, or the empty table."""
        return self._bytes("/review/package", params={"part": part})

    def send_table(self, data: bytes) -> TableOut:
        """A package's filled table, taken in whole or not at all."""
        headers = {"Content-Type": "text/csv"}
        path = "/review/table"
        return _as(TableOut, self._json("POST", path, content=data, headers=headers))

    def model_card(self) -> str:
        """The model card in Markdown."""
        card = self._json("GET", "/model-card")
        return str(card.get("markdown", "")) if isinstance(card, dict) else ""

    def _study(self, request: StudyRequest) -> StudyOut:
        body = request.model_dump(exclude_none=True)
        return _as(StudyOut, self._json("POST", "/studies", json=body))

    def _bytes(self, path: str, **options: Any) -> bytes:
        content: bytes = self._send("GET", path, **options).content
        return content

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return _content(self._send(method, path, **options))

    def _send(
        self, method: str, path: str, *, patience: float | None = None, **options: Any
    ) -> httpx2.Response:
        patience = self._patience if patience is None else patience
        for attempt in (1, 2):
            try:
                response = self._http.request(method, path, **options)
            except httpx2.TransportError as error:
                raise unreachable(error) from error
            if response.status_code < 400:
                return response
            problem = error_of(response)
            wait = problem.retry_after
            if attempt == 2 or problem.status != 429 or wait is None or wait > patience:
                raise problem
            time.sleep(wait)
        raise AssertionError  # unreachable: the second attempt returns or raises


def _content(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise foreign(response.status_code) from error


def _as(kind: type[T], data: Any) -> T:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ApiError(
            "foreign_answer", "the service answers in another form than expected"
        ) from error


def _part(name: str) -> str:
    """A name as one part of a path: those in the page's address may be anything."""
    return quote(name, safe="")
