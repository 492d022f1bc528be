"""Pictures: taken in, shown exactly as the model sees them, deleted."""

from __future__ import annotations

import hashlib
import re
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from vesalius.cases.display import Display
from vesalius.cases.reencode import Reencoded
from vesalius.cases.view import View
from vesalius.errors import Refusal
from vesalius.service.chat import reports
from vesalius.service.chat.intake import LATER, MIB, require_view
from vesalius.service.http import bodies
from vesalius.service.http.routes.dependencies import EVERYTHING, Calling, Serving, while_there
from vesalius.service.http.routes.openapi_docs import content_response, problems, upload
from vesalius.service.http.schemas import (
    Deleted,
    DisplayOut,
    Identifier,
    Level,
    Rectangle,
    Uploaded,
    UploadPage,
    Width,
    Window,
)
from vesalius.service.store.records import Image
from vesalius.service.threads import in_thread

router = APIRouter(tags=["pictures"])
FIELDS = ("image_file", "file")
PICTURES = ("image/png", "image/*", "*/*")
QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")
WINDOW = r"^-?\d{1,9}(\.\d{1,6})?,\d{1,9}(\.\d{1,6})?$"

BAD_PICTURES = (
    "invalid_multipart",
    "body_too_large",
    "image_too_many_pixels",
    "image_too_many_frames",
    "unsupported_body",
    "unsupported_media_type",
    "dicom_transfer_syntax",
    "image_aspect_ratio",
    "image_truncated",
    "image_corrupt",
    "dicom_invalid",
    "dicom_no_pixels",
    "worker_timeout",
    "worker_lost",
    "storage_full",
    "quota_exceeded",
    "worker_busy",
)


@router.post(
    "/upload_image",
    status_code=201,
    response_model=Uploaded,
    responses={
        200: {"model": Uploaded, "description": "It was here already"},
        **problems(*BAD_PICTURES, "not_found"),
    },
    openapi_extra=upload(),
)
async def upload_image(
    request: Request,
    service: Serving,
    caller: Calling,
    study: Annotated[Identifier | None, Query(description="An opened study.")] = None,
) -> Response:
    """Take in a picture: PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM, found by content.

    What is kept is a re-encoded picture without metadata, never the uploaded bytes. The same bytes
    from the same caller give the same id. With ``mask`` text that is burned into the picture is
    looked for and covered, whatever the service's policy is. An upload for an opened `study` is
    counted as one of that study's, not as a request of its own.
    """
    if study is not None:
        await in_thread(service.store.study, caller.owner, study)  # Refusal where there is none
    data, mask = _sent(await request.body(), request)
    sha256 = hashlib.sha256(data).hexdigest()
    policy = "mask" if mask else service.intake.policy(data)
    own: dict[str, Any] = {"expires_at": service.expires(), "variant": policy}
    store = service.store
    known = await in_thread(store.known_image, caller.owner, sha256, **own)
    if known is not None:
        image, created = known, False
    else:
        key = await in_thread(store.series_key, caller.owner)
        quota = own["quota"] = service.settings.owner_mib * MIB

        def accept(picture: Reencoded) -> None:
            store.require_room(caller.owner, len(picture.data), quota)

        work = service.intake.take(data, policy, caller.owner, key, accept=accept)
        picture, regions = await while_there(request, work)
        image, created = await in_thread(store.add_image, caller.owner, sha256, picture, **own)
        if created and LATER in image.warnings:
            service.look_later(image)
        if regions:
            service.metrics.burned_in_text.labels(policy).inc()
    service.metrics.uploads.labels(image.kind).inc()
    await in_thread(service.note, "image.stored" if created else "image.repeated", caller, image.id)
    return JSONResponse(upload_response(image).model_dump(mode="json"), 201 if created else 200)


@router.get("/images", response_model=UploadPage, responses=problems("invalid_request"))
async def images(  # noqa: PLR0917
    service: Serving,
    caller: Calling,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    before: Annotated[str | None, Query(max_length=200)] = None,
    asked: Annotated[bool | None, Query(description="Whether a question was about it.")] = None,
    alone: Annotated[bool | None, Query(description="Whether it stands in no study.")] = None,
) -> UploadPage:
    """The caller's kept pictures, newest first; ``before`` is the last page's ``next``."""
    listed = partial(service.store.uploads, caller.owner, asked=asked, alone=alone)
    page = await in_thread(listed, limit=limit, before=before)
    return UploadPage(images=[upload_response(image) for image in page.images], next=page.next)


@router.delete("/images", response_model=Deleted, responses=problems("invalid_request"))
async def delete_images(
    service: Serving, caller: Calling, everything: Annotated[Literal["true"], EVERYTHING]
) -> Deleted:
    """Delete all of the caller's pictures and studies, for good; what was said of them stays."""
    del everything
    count = 0
    while page := (await in_thread(service.store.uploads, caller.owner, limit=100)).images:
        for image in page:
            await in_thread(service.delete_image, caller, image)
        count += len(page)
    await in_thread(service.store.delete_studies, caller.owner)
    return Deleted(deleted=count)


@router.get(
    "/images/{image_id}",
    response_class=Response,
    responses=content_response("The picture", "image/png", model=Uploaded)
    | problems("not_found", "image_expired", "image_frame", "image_window", "invalid_request"),
)
async def image(  # noqa: PLR0913, PLR0917
    request: Request,
    service: Serving,
    caller: Calling,
    image_id: Identifier,
    frame: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
    window: Annotated[str | None, Query(pattern=WINDOW, description="centre,width")] = None,
    centre: Annotated[Level | None, Query()] = None,
    width: Annotated[Width | None, Query()] = None,
    side: Annotated[int | None, Query(ge=16, le=2048, description="Smaller, for a list.")] = None,
) -> Response:
    """The exact picture the model sees, for a frame and a window.

    A window is ``window=centre,width``, or both by their names. With ``side`` it is made smaller:
    its longer side has at most so many pixels. For ``Accept: application/json`` it
    is told what the upload told: size, kind, frames, warnings; and its study.
    """
    record = await in_thread(service.store.image, caller.owner, image_id)
    if _prefers_json(request.headers.get("accept", "")):
        studies = await in_thread(service.store.study_ids, caller.owner, [image_id])
        whole = upload_response(record).model_copy(update={"study_id": studies.get(image_id)})
        return JSONResponse(whole.model_dump(mode="json"))
    if (centre is None) != (width is None) or (window and centre is not None):
        raise Refusal("image_window", "a window is a centre and a width, given once")
    if window:
        centre, width = map(float, window.split(","))
        if not width > 0:
            raise Refusal("image_window", "a window's width is more than 0")
    view = View(frame, None if centre is None or width is None else (centre, width))
    require_view(record.kind, record.frames, view)
    data = await in_thread(service.store.read_picture, record)
    png = await service.intake.png(data, view, caller.owner, side)
    await in_thread(service.note_read, caller, image_id)
    return Response(png, media_type="image/png")


@router.post(
    "/images/{image_id}/cover",
    status_code=201,
    response_model=Uploaded,
    responses=problems(
        "not_found", "image_expired", "image_missing", "missing_extra", "worker_busy",
        "worker_timeout", "worker_lost", "storage_full",
    ),
)  # fmt: skip
async def cover(service: Serving, caller: Calling, image_id: Identifier) -> Uploaded:
    """Cover the writing in a kept picture: a new picture, in the old one's place in its studies.

    The old one is deleted, whether writing was found or not, and the new one kept for as long as it
    would have been. Look at the result: not all writing is found.
    """
    store = service.store
    record = await in_thread(store.image, caller.owner, image_id)
    stored = partial(store.reencoded, record)
    picture, _ = await service.intake.look(stored, caller.owner, mask=True)
    # Without a quota: who has used it up may cover all the same, for the old one goes.
    own: dict[str, Any] = {"expires_at": record.expires_at, "variant": "mask"}
    image, _ = await in_thread(store.add_image, caller.owner, record.sha256, picture, **own)
    await in_thread(service.note, "image.covered", caller, image.id)
    if image.id != record.id:
        await in_thread(store.replace_image, record, image)
        await in_thread(service.delete_image, caller, record)
    return upload_response(image)


@router.delete("/images/{image_id}", status_code=204, responses=problems("not_found"))
async def delete_image(service: Serving, caller: Calling, image_id: Identifier) -> None:
    """Delete a picture for good; what was said of it stays."""
    record = await in_thread(service.store.image, caller.owner, image_id)
    await in_thread(service.delete_image, caller, record)


@router.get(
    "/neighbours/{key:path}",
    response_class=Response,
    responses=content_response("A thumbnail", "image/png") | problems("not_found"),
)
async def neighbour(service: Serving, caller: Calling, key: str) -> Response:
    """The thumbnail of a similar case, where the run's index holds pictures."""
    del caller
    thumbnail = await in_thread(service.thumbnail, key)
    if thumbnail is None:
        raise Refusal("not_found", "the run's index holds no such picture")
    return Response(thumbnail, media_type="image/png")


@router.post(
    "/answers/{answer_id}/report",
    response_class=Response,
    responses=content_response("A Structured Report", "application/dicom")
    | problems(
        "not_found", "image_expired", "no_answer", "another_picture", "invalid_multipart",
        "invalid_request", "unsupported_body", "body_too_large", "dicom_invalid",
        "missing_extra", "worker_busy", "worker_timeout", "worker_lost",
    ),
    openapi_extra=upload(),
)  # fmt: skip
async def report(
    request: Request, service: Serving, caller: Calling, answer_id: Identifier
) -> Response:
    """An answer as a DICOM Structured Report, filed under the patient of the file that is sent.

    It is the file that was uploaded, unchanged: the service keeps no header, of this one neither.
    """
    data, _ = _sent(await request.body(), request)
    made = await reports.report(service.store, service.intake, caller.owner, answer_id, data)
    await in_thread(service.note, "answer.reported", caller, answer_id)
    named = {"Content-Disposition": 'attachment; filename="report.dcm"'}
    return Response(made, media_type="application/dicom", headers=named)


def _sent(data: bytes, request: Request) -> tuple[bytes, bool]:
    """The one file of an upload form, and whether text in it is to be covered."""
    if bodies.content_type(request) != "multipart/form-data":
        raise Refusal(
            "unsupported_body", "an upload is a multipart form", hint="curl -F image_file=@scan.png"
        )
    parts = bodies.parts(data, request.headers["content-type"])
    files = [part for part in parts if part.name in FIELDS]
    others = [part for part in parts if part.name not in FIELDS]
    if len(files) != 1 or len(others) > 1 or any(part.name != "mask" for part in others):
        detail = "the form must hold one part, image_file (or file), and may hold mask"
        raise Refusal("invalid_multipart", detail)
    wish = bytes(others[0].data).decode("utf-8", "replace").lower() if others else "false"
    if wish not in {"true", "false"}:
        raise Refusal("invalid_request", "mask: true or false")
    return bytes(files[0].data), wish == "true"


def _prefers_json(accept: str) -> bool:
    """Whether JSON is wanted rather than a picture (RFC 9110, 12.5.1), which is given otherwise."""
    wanted: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        given = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        wanted[kind] = float(given) if QUALITY.fullmatch(given) else 0.0
    picture = max((q for kind, q in wanted.items() if kind in PICTURES), default=0.0)
    return wanted.get("application/json", 0.0) > picture


def upload_response(image: Image) -> Uploaded:
    """What an upload is answered with: what is kept of the picture, until when."""
    return Uploaded(
        image_id=image.id,
        sha256=image.sha256,
        width=image.width,
        height=image.height,
        kind=image.kind,
        frames=image.frames,
        modality=image.modality,
        warnings=list(image.warnings),
        expires_at=image.expires_at,
        display=None if image.display is None else _display(image.display),
        text=[Rectangle(x=x, y=y, width=w, height=h) for x, y, w, h in image.text],
    )


def _display(display: Display) -> DisplayOut:
    return DisplayOut(**display.to_row() | {"window": Window.of(View(window=display.window))})
