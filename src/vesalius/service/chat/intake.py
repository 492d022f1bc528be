"""Pictures in: from a stranger's bytes to what is kept, decoded apart from the service.

Decoders run in processes with limits of their own, since hostile bytes can crash them; text burned
into pictures is looked for in another one, and reports are written in a third.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from typing import Any

from vesalius.cases.headers import kind_of
from vesalius.cases.image import decode
from vesalius.cases.reencode import Reencoded
from vesalius.cases.view import View
from vesalius.data.burned_in import WRITING
from vesalius.errors import MissingExtra, Refusal, install_command
from vesalius.service.fair_queue import FairQueue
from vesalius.service.settings import Settings, TextPolicy
from vesalius.service.threads import in_thread
from vesalius.system.workers import Pool

MIB = 2**20
PATIENCE = 3600.0
"""Seconds for which a look that nobody waits for may itself wait."""
LATER = "text burned into the picture has not been looked for yet"
SEVERAL = ("dicom", "tiff")
"""Kinds of which every frame is kept; of an animation it is the first one."""


class Intake:
    """The one way from uploaded bytes to a picture of the service."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        if self._looks_for_text and not self.finds_text:
            raise MissingExtra(
                "rapidocr",
                "ocr",
                command=f"{install_command('ocr')}, or set VESALIUS_TEXT_IN_DICOM=off",
            )
        size, memory = settings.decoders, settings.decoder_mib * MIB
        seconds = settings.decoder_seconds
        self._decoders = Pool(
            "vesalius.cases.reencode:reencode", size=size, memory=memory, seconds=seconds
        )
        # What they read was written by us, and a wheel asks them often: they are kept for longer.
        self._renderers = Pool(
            "vesalius.service.chat.intake:render_png",
            size=size,
            memory=memory,
            seconds=seconds,
            recycle=2000,
        )
        seconds = settings.text_seconds
        self._readers = Pool(
            "vesalius.data.burned_in:inspect", size=1, memory=2048 * MIB, seconds=seconds
        )
        self._reporters = Pool(
            "vesalius.steps.structured_report:encoded", size=1, memory=memory, seconds=seconds
        )
        # Threads and lines of their own: one kind of work must not keep another from its turn.
        sizes = {self._decoders: size, self._renderers: size, self._readers: 1, self._reporters: 1}
        self._threads = {
            pool: ThreadPoolExecutor(count, thread_name_prefix="intake")
            for pool, count in sizes.items()
        }
        self._lines = {pool: FairQueue(count) for pool, count in sizes.items()}

    async def take(
        self,
        data: bytes,
        policy: TextPolicy,
        owner: str,
        key: bytes = b"",
        *,
        accept: Callable[[Reencoded], None] | None = None,
    ) -> tuple[Reencoded, int]:
        """What is kept of the picture, and in how many places text was found; ImageError.

        With ``later`` nothing is looked for, and a warning says so. ``key``: for the hashes by
        which pictures of one owner can be compared; the header goes where the picture is decoded.
        ``accept`` may refuse what was decoded, before text is looked for: that takes seconds.
        """
        async with _in_time(self.settings.deadline):
            decoding = partial(self._decoders.run, data, self.settings.limits, key)
            picture: Reencoded = await self._done_by(self._decoders, owner, decoding)
            if accept is not None:
                await in_thread(accept, picture)
            if policy == "off":
                return picture, 0
            if not self.finds_text:
                raise MissingExtra("rapidocr", "ocr")
            if policy == "later":
                return replace(picture, warnings=(*picture.warnings, LATER)), 0
            reading = partial(self._readers.run, picture, policy == "mask")
            picture, regions = await self._done_by(self._readers, owner, reading)
            return picture, len(regions)

    async def look(
        self, stored: Callable[[], Reencoded], owner: str, *, mask: bool = False
    ) -> tuple[Reencoded, int]:
        """A stored picture with a warning of text, and in how many places that is, some time.

        It is read when its turn has come: many may wait. With ``mask`` the text is covered, and
        somebody waits. MissingExtra where text cannot be looked for.
        """
        if not self.finds_text:
            raise MissingExtra("rapidocr", "ocr")
        async with _in_time(self.settings.deadline if mask else PATIENCE):
            picture, regions = await self._done_by(
                self._readers, owner, lambda: self._readers.run(_unread(stored()), mask)
            )
            return picture, len(regions)

    async def _done_by(self, pool: Pool, owner: str, job: Callable[[], Any]) -> Any:
        """What a pool's job gives, once it is the owner's turn."""
        line, loop = self._lines[pool], asyncio.get_running_loop()
        await line.enter(owner)
        work = self._threads[pool].submit(job)
        # The slot is free when the work has ended, which who waits for it may not live to.
        work.add_done_callback(lambda _: _calling(loop, partial(line.leave, owner)))
        return await asyncio.shield(asyncio.wrap_future(work))

    def policy(self, data: bytes) -> TextPolicy:
        """What is done about text that is burned into such a picture."""
        settings = self.settings
        return settings.text_in_dicom if kind_of(data) == "dicom" else settings.text_in_pictures

    @property
    def finds_text(self) -> bool:
        """Whether text in pictures can be looked for here."""
        return find_spec("rapidocr") is not None

    @property
    def _looks_for_text(self) -> bool:
        policies = {self.settings.text_in_dicom, self.settings.text_in_pictures}
        return policies != {"off"}

    async def png(self, data: bytes, view: View, owner: str, side: int | None = None) -> bytes:
        """A view of a kept picture as PNG: pixel for pixel what a model sees of it.

        With ``side`` it is made smaller, its longer side at most so many pixels.
        """
        async with _in_time(self.settings.deadline):
            rendering = partial(self._renderers.run, data, view, side)
            encoded: bytes = await self._done_by(self._renderers, owner, rendering)
            return encoded

    async def report(self, matter: tuple[Any, ...], owner: str) -> bytes:
        """An answer as a DICOM report: ``matter`` is what ``structured_report.encoded`` takes.

        It reads a whole header, of which a stranger may have made very much.
        """
        async with _in_time(self.settings.deadline):
            writing = partial(self._reporters.run, *matter)
            written: bytes = await self._done_by(self._reporters, owner, writing)
            return written

    def warm(self) -> None:
        """Start what the policies need, so that the first caller does not wait for it."""
        picture = self._decoders.run(_DOT, self.settings.limits)
        if self._looks_for_text:
            self._readers.run(picture, False)

    def close(self) -> None:
        """End the processes."""
        for pool, threads in self._threads.items():
            pool.close()
            threads.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def _in_time(seconds: float) -> AsyncIterator[None]:
    """One deadline for all that a request waits for, its turns included; Refusal at its end."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Refusal(
            "worker_busy", "too many pictures are being decoded", hint="try again later"
        ) from None


def _unread(picture: Reencoded) -> Reencoded:
    """The picture without what an earlier look said."""
    others = (one for one in picture.warnings if one != LATER and not one.startswith(WRITING))
    return replace(picture, warnings=tuple(others), text=())


def _calling(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended with the service
        loop.call_soon_threadsafe(work)


def render_png(data: bytes, view: View, side: int | None) -> bytes:
    """The picture in ``data`` as PNG; what is kept has passed its limits when it came."""
    image, out = decode(data, view).image, BytesIO()
    if side is not None:
        image.thumbnail((side, side))
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def require_view(kind: str, frames: int, view: View) -> None:
    """Refusal for a frame or window that the picture does not have."""
    frame = view.frame
    count = frames if kind in SEVERAL else 1
    if frame is not None and not 0 <= frame < count:
        detail = f"there is no frame {frame}: {count} kept, counted from 0"
        raise Refusal("image_frame", detail, hint="GET /images/{image_id} as JSON tells them")
    if view.window is not None and kind != "dicom":
        raise Refusal("image_window", "only a DICOM picture has a window")


_DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082"
)
"""A PNG of one black pixel."""
