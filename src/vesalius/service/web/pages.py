"""The pages beside the chat: the model's card, and what this is and is not."""

from __future__ import annotations

import re

import streamlit as st

from vesalius.service.http.schemas import DISCLAIMER
from vesalius.service.web import identity, notices, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.page_state import elsewhere
from vesalius.service.web.rules import Policy

_PICTURES = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_TEXT = {
    "off": "is not looked for",
    "flag": "is looked for and told as a warning",
    "later": "is looked for after the upload, and told with the picture then",
    "mask": "is looked for and blackened",
}


def card() -> None:
    """The model card, as the run wrote it; its pictures would be fetched, so their names stand."""
    elsewhere()
    with st.container(key="reading"):
        try:
            text = identity.api().model_card()
        except ApiError as error:
            st.title("Model card")
            notices.tell(error)
            return
        if not text.lstrip().startswith("#"):
            st.title("Model card")
        st.markdown(_PICTURES.sub(r"\1", text))


def about() -> None:
    """What this is, what it is not for, and what happens to what is uploaded."""
    elsewhere()
    with st.container(key="reading"):
        st.title("About and safety")
        try:
            service = identity.version(identity.api())
        except ApiError as error:
            notices.tell(error)
            return
        st.markdown(_about(service.policy))
        st.caption(f"Vesalius {words.plain(service.version)}".strip())


def _about(policy: Policy) -> str:
    abstains = (
        "No threshold is set, so no answer is marked as unsure on its own."
        if policy.abstain_below is None
        else f"Answers below {policy.abstain_below:.2f} are marked: do not rely on them."
    )
    return f"""
**{DISCLAIMER}** Never decide about a patient by it.

### What it does
You upload a medical picture and ask about it. A vision-language model answers with how sure it is,
with the training cases whose pictures are most alike, and with what made the answer.

### What it does not do
- It does not diagnose. It has seen a limited kind of pictures; the model card says which.
- It answers anything, also what it was never fitted for, and it can be wrong in good English.
- Its confidence is its own number. {abstains}

### What happens to a picture
- Its pixels are kept, written anew. Of a DICOM header stays what it is shown by (window, sides,
  scale, pace) and, as keyed hashes and moved days, what it is compared with others by: no name,
  no date, no hidden data.
- It is deleted after {policy.image_hours:g} hours, or when you delete it.
- Questions and answers are deleted {policy.text_days:g} days after the last one.
- Text burned into a DICOM picture {_TEXT.get(policy.text_in_dicom, policy.text_in_dicom)};
  in other pictures it {_TEXT.get(policy.text_in_pictures, policy.text_in_pictures)}.
- Nobody else can read your conversations through this page.

### Before you upload
Use pictures that you are allowed to use, without anything that names a patient: also not in the
question. At most {words.size(policy.max_body)}; PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM.

### Keys
Tab moves on, Enter asks. In the picture arrows go through a stack, or move what is zoomed; P plays
it, plus and minus zoom, 0 fits, 1 is one to one, I inverts, B hides boxes, F fills the screen.
In the list arrows move between rows, F2 renames, Delete deletes.
"""
