"""Conversations: begun, listed, read, exported, deleted."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import HTMLResponse, JSONResponse

from vesalius.service.chat import exports
from vesalius.service.http import bodies, responses
from vesalius.service.http.answer_schemas import (
    ConversationOut,
    ConversationPage,
    ConversationWhole,
)
from vesalius.service.http.routes.dependencies import EVERYTHING, Calling, Serving
from vesalius.service.http.routes.openapi_docs import body, content_response, problems
from vesalius.service.http.schemas import Deleted, Identifier, NewConversation, TitleRequest
from vesalius.service.threads import in_thread

router = APIRouter(tags=["conversations"])


@router.get(
    "/conversations",
    response_model=ConversationPage,
    responses=problems("invalid_request"),
)
async def conversations(
    service: Serving,
    caller: Calling,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    before: Annotated[str | None, Query(max_length=200)] = None,
    search: Annotated[str, Query(max_length=200, description="Words of titles and turns.")] = "",
) -> ConversationPage:
    """The caller's conversations, newest first; ``before`` is the last page's ``next``."""
    own = partial(service.store.conversations, caller.owner, search=search.strip())
    page = await in_thread(own, limit=limit, before=before)
    items = [responses.conversation(record) for record in page.conversations]
    return ConversationPage(conversations=items, next=page.next)


@router.post(
    "/conversations",
    status_code=201,
    response_model=ConversationOut,
    responses=problems("invalid_request", "invalid_json", "unsupported_body", "storage_full"),
    openapi_extra=body(NewConversation, {"title": "Chest, follow-up"}),
)
async def new_conversation(request: Request, service: Serving, caller: Calling) -> ConversationOut:
    """An empty conversation; asking without one begins one as well."""
    payload = await bodies.parse(request, NewConversation)
    record = await in_thread(service.store.new_conversation, caller.owner, title=payload.title)
    await in_thread(service.note, "conversation.begun", caller, record.id)
    return responses.conversation(record)


@router.get(
    "/conversations/{conversation_id}",
    response_model=ConversationWhole,
    responses=problems("not_found"),
)
async def conversation(
    service: Serving, caller: Calling, conversation_id: Identifier
) -> ConversationWhole:
    """A conversation with all its turns, also those still being answered."""
    transcript = await in_thread(service.store.conversation, caller.owner, conversation_id)
    await in_thread(service.note, "conversation.read", caller, conversation_id)
    return responses.transcript(transcript, service.thumbnails)


@router.get(
    "/conversations/{conversation_id}/export",
    response_model=None,
    responses=content_response("A file to keep", "text/html", model=ConversationWhole)
    | problems("not_found", "invalid_request"),
)
async def export(
    service: Serving,
    caller: Calling,
    conversation_id: Identifier,
    format: Annotated[Literal["json", "html"], Query()] = "json",  # noqa: A002
) -> Response:
    """A conversation as a file: JSON, or one HTML page that prints well."""
    transcript = await in_thread(service.store.conversation, caller.owner, conversation_id)
    whole = responses.transcript(transcript, service.thumbnails)
    await in_thread(service.note, "conversation.exported", caller, conversation_id)
    named = {"Content-Disposition": f'attachment; filename="conversation.{format}"'}
    if format == "json":
        return JSONResponse(whole.model_dump(mode="json"), headers=named)
    page = await exports.page(service, caller.owner, whole)
    named["Content-Security-Policy"] = exports.POLICY
    return HTMLResponse(page, headers=named)


@router.patch(
    "/conversations/{conversation_id}",
    response_model=ConversationOut,
    responses=problems("not_found", "invalid_request", "invalid_json", "unsupported_body"),
    openapi_extra=body(TitleRequest, {"title": "Chest, follow-up"}),
)
async def rename_conversation(
    request: Request, service: Serving, caller: Calling, conversation_id: Identifier
) -> ConversationOut:
    """Give a conversation another title."""
    title = (await bodies.parse(request, TitleRequest)).title.strip()
    rename = partial(service.store.rename_conversation, caller.owner, conversation_id, title)
    record = await in_thread(rename)
    await in_thread(service.note, "conversation.renamed", caller, conversation_id)
    return responses.conversation(record)


@router.delete("/conversations", response_model=Deleted, responses=problems("invalid_request"))
async def delete_conversations(
    service: Serving, caller: Calling, everything: Annotated[Literal["true"], EVERYTHING]
) -> Deleted:
    """Delete all of the caller's conversations, for good; `all=true` says that this is meant."""
    del everything
    ids = await in_thread(service.store.delete_conversations, caller.owner)
    for conversation_id in ids:
        await in_thread(service.note, "conversation.deleted", caller, conversation_id)
    service.metrics.deleted.labels("conversations").inc(len(ids))
    return Deleted(deleted=len(ids))


@router.delete("/conversations/{conversation_id}", status_code=204, responses=problems("not_found"))
async def delete_conversation(
    service: Serving, caller: Calling, conversation_id: Identifier
) -> None:
    """Delete a conversation and all that was said in it, for good."""
    await in_thread(service.store.delete_conversation, caller.owner, conversation_id)
    service.metrics.deleted.labels("conversations").inc()
    await in_thread(service.note, "conversation.deleted", caller, conversation_id)
