"""Files on their way are held in the page's memory: there is room for so many bytes of them."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

pytest.importorskip("streamlit", reason="the extra web is not installed")

from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from vesalius.service.web import room
from vesalius.service.web.batch import Batch

MOST = 1000


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> MemoryUploadedFileManager:
    """Streamlit's files; the sessions ``ada`` and ``eve`` are there."""
    manager = MemoryUploadedFileManager("/_stcore/upload_file")
    runtime = SimpleNamespace(
        uploaded_file_mgr=manager, is_active_session=lambda session: session in {"ada", "eve"}
    )
    monkeypatch.setattr(room, "get_instance", lambda: runtime)
    return manager


def put(size: int | None, *, session: str = "ada", inside: Any = None) -> int:
    """The status that a file of so many bytes is answered with; ``inside`` runs while it comes."""
    sent: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if inside is not None:
            await inside(layer)
        sent.append(204)

    async def send(message: Any) -> None:
        sent.extend([message["status"]] if "status" in message else [])

    async def receive() -> Any:
        return {"type": "http.request"}

    layer = room.UploadRoom(app, MOST)
    anyio.run(layer, scope(size, session), receive, send)
    return sent[0]


def scope(size: int | None, session: str = "ada", method: str = "PUT") -> dict[str, Any]:
    headers = [] if size is None else [(b"content-length", str(size).encode())]
    path = f"/_stcore/upload_file/{session}/1"
    return {"type": "http", "method": method, "path": path, "headers": headers}


def test_what_is_held_leaves_less_room(files: MemoryUploadedFileManager) -> None:
    assert [put(size) for size in (MOST, MOST + 1, None)] == [204, 507, 411]
    files.add_file("ben", UploadedFileRec("1", "x", "y", bytes(600)))
    assert [put(size) for size in (400, 401)] == [204, 507]
    files.remove_session_files("ben")
    batch = Batch.of([BytesIO(bytes(900))], most=MOST)
    room.count(batch)
    assert [put(size) for size in (100, 101)] == [204, 507]
    del batch
    assert put(MOST) == 204


def test_what_is_coming_leaves_less_room(files: MemoryUploadedFileManager) -> None:
    statuses: list[int] = []

    async def meanwhile(layer: room.UploadRoom) -> None:
        async def send(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        await layer(scope(300), None, send)

    assert put(800, inside=meanwhile) == 204
    assert statuses == [507]


def test_a_session_is_told_how_many_of_its_own_there_was_no_room_for(
    files: MemoryUploadedFileManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    for session in ("eve", "eve", "nobody"):
        assert put(MOST + 1, session=session) == 507
    here = SimpleNamespace(session_id="eve")
    monkeypatch.setattr(room, "get_script_run_ctx", lambda: here)
    assert [room.refused_here(), room.refused_here()] == [2, 0]
    here.session_id = "nobody"
    assert room.refused_here() == 0
    batch = Batch.of([BytesIO(b"words")], most=MOST)
    batch.missing = 2
    assert batch.notes() == ["2 files of 3 not taken: too many were on their way at once"]
