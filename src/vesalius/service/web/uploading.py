"""Files in: one picture, or several that become a study; what is refused is told in its place."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from vesalius.errors import DatasetError
from vesalius.service.web import notices, room, series, study, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.batch import Batch, InMemory
from vesalius.service.web.client import Api
from vesalius.service.web.page_state import PageState
from vesalius.service.web.rules import Policy

ARCHIVE_MIB = 500
"""Of an archive; a picture in it may have no more bytes than any other."""
FILES, FOLDER = "Files", "A folder"
BATCH = "batch"
"""In the session: files on their way."""


def upload(policy: Policy, *, key: str) -> None:
    """A place to drop files; once they are there, the page goes on to send them."""
    mask = policy.mask and st.toggle(
        "Cover text in the picture",
        key=f"mask-{key}",
        help="Set this first. Names and dates that are burned into the picture are looked for and "
        "blackened before it is kept. Look at the result: not all writing is found.",
    )
    turn = int(st.session_state.get("uploads", 0))
    label = st.segmented_control(
        "Upload", [FILES, FOLDER], default=FILES, required=True, key=f"kind-{key}",
        help="Several become one study: a series, an examination with its prior, a zip of either.",
    )  # fmt: skip
    given = st.file_uploader(
        "Pictures, or a zip of them" if label == FILES else "A folder of pictures",
        accept_multiple_files=True if label == FILES else "directory",
        key=f"upload-{key}-{label}-{turn}",
        help=f"PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM, found by content, at most "
        f"{words.size(policy.max_body)} each. Names are not sent.",
        max_upload_size=ARCHIVE_MIB,
    )
    if given:
        # A new widget next time: this one lets go of the files, and of their names.
        st.session_state["uploads"] = turn + 1
        begin(policy, given, mask=bool(mask))


def begin(policy: Policy, files: Sequence[InMemory], *, mask: bool = False) -> None:
    """Send files from the next run of the page on."""
    try:
        batch = Batch.of(files, most=policy.max_body, mask=mask)
    except DatasetError as error:
        notices.later(ApiError(error.code, error.what))
    else:
        batch.missing = room.refused_here()
        room.count(batch)
        st.session_state[BATCH] = batch
    st.rerun()


def proceed(api: Api) -> bool:
    """Send what is on its way and show how far it is; False where there is nothing."""
    batch = st.session_state.get(BATCH)
    if not isinstance(batch, Batch):
        return False
    with st.container(key="sending", border=True):
        if batch.error is None:
            _send(api, batch)
        else:
            _stuck(api, batch, batch.error)
    return True


def _send(api: Api, batch: Batch) -> None:
    bar = st.progress(0.0, f"Uploading and checking {_pictures(batch.total)}")
    st.button("Stop", icon=":material/stop_circle:", key="stop-sending", on_click=_drop)
    try:
        for done in batch.send(api):
            bar.progress(done / batch.total, f"{done} of {_pictures(batch.total)}")
        whole = batch.study(api)
    except ApiError as error:
        batch.error = error
        if batch.total == 1 and not notices.may_pass(error):  # there is nothing to go on with
            _drop()
            notices.later(error)
        st.rerun()
    _drop()
    if whole is not None:
        study.keep(whole, batch.notes())
        PageState(image=series.first_look(whole)).go()
        st.rerun()
    if batch.image_ids:
        PageState(image=batch.image_ids[0]).go()
    if lines := batch.notes() or ([] if batch.image_ids else ["There is no file in it"]):
        notices.later(ApiError("left_out", "; ".join(lines)))
    st.rerun()


def _stuck(api: Api, batch: Batch, error: ApiError) -> None:
    """Why it does not go on, what is there already, and what can be done."""
    notices.tell(error)
    sent = len(batch.image_ids)
    if sent and batch.waiting:
        st.caption(f"{sent} of {_pictures(batch.total)} are there; the others wait here.")
    if notices.retry(error, BATCH):
        batch.error = None
        st.rerun()
    with st.container(horizontal=True):
        # What was there before stays: talks may be about it.
        if batch.new_ids and st.button("Delete what was uploaded", icon=":material/delete:"):
            try:
                while batch.new_ids:
                    api.delete_image(batch.new_ids[-1])
                    batch.new_ids.pop()
            except ApiError as refusal:
                notices.tell(refusal)
                return
            _drop()
            st.rerun()
        if st.button("Keep them one by one" if sent else "Leave it"):
            _drop()
            st.rerun()


def _drop() -> None:
    st.session_state.pop(BATCH, None)


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count:,} pictures"
