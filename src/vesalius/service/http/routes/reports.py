"""Answers as FHIR, for record systems."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from starlette.responses import JSONResponse

from vesalius.service.chat import reports
from vesalius.service.http.routes.dependencies import Calling, Serving
from vesalius.service.http.routes.openapi_docs import problems
from vesalius.service.http.schemas import Identifier
from vesalius.service.threads import in_thread
from vesalius.steps.fhir import MEDIA_TYPES, Version

router = APIRouter(tags=["pictures"])
BUNDLE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A bundle of FHIR resources",
        "content": {"application/fhir+json": {"schema": {"type": "object"}}},
    }
}


@router.get(
    "/answers/{answer_id}/fhir",
    response_class=Response,
    responses=BUNDLE | problems("not_found", "image_expired", "no_answer", "invalid_request"),
)
async def fhir(
    service: Serving,
    caller: Calling,
    answer_id: Identifier,
    version: Annotated[Version, Query()] = "R4",
) -> Response:
    """An answer as FHIR: a bundle of DiagnosticReport, Observation, ImagingStudy and Device.

    Preliminary, marked as asserted by an algorithm and for research. Patient and pictures stand
    under pseudonyms, which mean nothing outside this service.
    """
    bundle = await in_thread(reports.fhir, service.store, caller.owner, answer_id, version)
    await in_thread(service.note, "answer.reported", caller, answer_id)
    named = {"Content-Disposition": 'attachment; filename="report.fhir.json"'}
    return JSONResponse(bundle, media_type=MEDIA_TYPES[version], headers=named)
