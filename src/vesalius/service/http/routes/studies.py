"""Studies: pictures that belong together, made of uploads, listed in order, deleted whole."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request

from vesalius.errors import Refusal
from vesalius.service.chat.studies import arranged
from vesalius.service.container import Service
from vesalius.service.http import bodies, responses
from vesalius.service.http.routes.dependencies import Calling, Serving
from vesalius.service.http.routes.openapi_docs import body, problems
from vesalius.service.http.schemas import Identifier
from vesalius.service.http.study_schemas import StudyOut, StudyPage, StudyRequest
from vesalius.service.threads import in_thread

router = APIRouter(tags=["studies"])
EXAMPLE = {"image_ids": ["img_3f…", "img_a0…"]}
REFUSED = (
    "invalid_json",
    "unsupported_body",
    "invalid_request",
    "study_too_large",
    "two_patients",
    "not_found",
    "image_expired",
    "storage_full",
    "quota_exceeded",
)


@router.post(
    "/studies",
    status_code=201,
    response_model=StudyOut,
    responses=problems(*REFUSED),
    openapi_extra=body(StudyRequest, EXAMPLE),
)
async def new_study(request: Request, service: Serving, caller: Calling) -> StudyOut:
    """Make uploaded pictures one study, or open one for so many uploads.

    Slices are ordered by their positions, examinations by the days between them. A missing slice
    and mixed sizes are warnings; pictures of two patients are refused. To upload more pictures than
    the rate limit lets through, open a study (`files`), upload each with `?study=`, and name them.
    """
    wish = await bodies.parse(request, StudyRequest)
    _require_room(service, len(wish.image_ids or ()) or wish.files or 0)
    store, owner = service.store, caller.owner
    if wish.image_ids is None:
        opening = partial(store.open_study, owner, wish.files or 0, expires_at=service.expires())
        record = await in_thread(opening)
    else:
        await in_thread(_require_fitting, service, owner, wish.image_ids)
        own = {"current": wish.current, "study_id": wish.study_id}
        record = await in_thread(partial(store.set_study, owner, wish.image_ids, **own))
    await in_thread(service.note, "study.stored", caller, record.id)
    return responses.study(record)


@router.get("/studies", response_model=StudyPage, responses=problems("invalid_request"))
async def studies(
    service: Serving,
    caller: Calling,
    limit: Annotated[int, Query(ge=1, le=20)] = 20,
    before: Annotated[str | None, Query(max_length=200)] = None,
    asked: Annotated[bool | None, Query(description="Whether a question was about it.")] = None,
) -> StudyPage:
    """The caller's studies, newest first; ``before`` is the last page's ``next``."""

    def listed() -> StudyPage:  # beside the event loop: they may have thousands of pictures
        page = service.store.studies(caller.owner, asked=asked, limit=limit, before=before)
        return StudyPage(studies=[responses.study(one) for one in page.studies], next=page.next)

    return await in_thread(listed)


@router.get("/studies/{study_id}", response_model=StudyOut, responses=problems("not_found"))
async def study(service: Serving, caller: Calling, study_id: Identifier) -> StudyOut:
    """A study with those of its pictures that are still kept."""
    return responses.study(await in_thread(service.store.study, caller.owner, study_id))


@router.delete("/studies/{study_id}", status_code=204, responses=problems("not_found"))
async def delete_study(service: Serving, caller: Calling, study_id: Identifier) -> None:
    """Delete a study with all its pictures, for good; what was said of them stays."""
    record = await in_thread(service.store.study, caller.owner, study_id)
    for image in record.images:
        await in_thread(service.delete_image, caller, image)
    await in_thread(service.store.delete_study, caller.owner, study_id)
    await in_thread(service.note, "study.deleted", caller, study_id)


def _require_room(service: Service, files: int) -> None:
    most = service.settings.max_study
    if files > most:
        what = f"a study has at most {most:,} pictures, and these are {files:,}"
        hint = "send the series that the questions are about"
        raise Refusal("study_too_large", what, hint=hint)


def _require_fitting(service: Service, owner: str, image_ids: list[str]) -> None:
    """Refusal before anything is written: not kept, or of two patients."""
    arranged(service.store.images(owner, list(dict.fromkeys(image_ids))))
