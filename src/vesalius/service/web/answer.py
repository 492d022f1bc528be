"""One turn on the page: the question, the answer, and everything that says how far to trust it."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import Any

import streamlit as st

from vesalius.service.http.answer_schemas import AssessmentOut, ConfidenceOut, NeighbourOut, TurnOut
from vesalius.service.web import content, feedback, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.style import MARK

LABELS = 8
"""Labels of a closed set that are listed with their probabilities, the most likely first."""
PERSON = ":material/person:"
HIGH = 0.7
"""Chance of being right from which it is coloured as high."""


def show(
    api: Api, turn: TurnOut, *, threshold: float | None, latest: bool, marked: str | None = None
) -> None:
    """A finished turn; ``marked`` is the answer whose boxes are over the picture."""
    question(turn)
    with st.chat_message("assistant", avatar=MARK):
        assessment = turn.assessment or AssessmentOut()
        if assessment.unlike:
            st.html(f'<p class="vs-unlike" role="note">{escape(words.unlike(assessment))}</p>')
        if turn.answer:
            st.markdown(words.plain(turn.answer))
        if turn.empty:
            st.caption(f":material/do_not_disturb_on: {words.EMPTY}")
        if turn.state != "done":
            st.caption(f":material/info: {words.ended(turn.state, turn.error)}")
            return
        if turn.finish == "length":
            st.caption(":material/content_cut: Cut at the limit of length.")
        content.show(turn, marked=marked)
        trust(turn.confidence, assessment, abstained=turn.abstained, threshold=threshold)
        if turn.neighbours:
            title = f"Similar cases: the nearest is {words.likeness(turn.neighbours[0].similarity)}"
            if turn.neighbours[0].similarity >= words.SAME:
                title = "Similar cases: this same picture is in the training set"
            with st.expander(title, expanded=latest, icon=":material/photo_library:"):
                _neighbours(api, turn.neighbours)
        if turn.members or turn.reasons:
            with st.expander("Who said what", icon=":material/groups:"):
                content.evidence(turn)
        with st.expander("How this answer was made", icon=":material/account_tree:"):
            _provenance(turn)
        feedback.show(api, turn)


def question(turn: TurnOut) -> None:
    """What was asked, and of which view."""
    with st.chat_message("user", avatar=PERSON):
        st.markdown(words.plain(turn.question))
        several = f"{len(turn.image_ids)} pictures of the study" if turn.image_ids[1:] else ""
        seen = ", ".join(filter(None, (several, words.view(turn.frame, turn.window))))
        if seen:
            st.caption(seen)


def trust(
    score: ConfidenceOut | None,
    assessment: AssessmentOut,
    *,
    abstained: bool,
    threshold: float | None,
) -> None:
    """How sure the model is: in words and colour where that was measured, else the bare number."""
    chance = assessment.chance
    measured = "plain" if chance is None else "high" if chance >= HIGH else "not"
    kind = "not" if abstained else measured
    label = escape(words.confidence(score, chance, abstained=abstained))
    method = escape(words.method(score, threshold, assessment.basis))
    # A disclosure opens by mouse, touch and keyboard alike, which a tooltip does not.
    st.html(
        f'<details class="vs-sure vs-{kind}"><summary>{label}</summary><p>{method}</p></details>'
    )


def _neighbours(api: Api, held: list[NeighbourOut]) -> None:
    """Cards in a row; their words are escaped, their pictures come through the page."""
    cards = "".join(_card(api, one) for one in held)
    of = 'role="group" tabindex="0" aria-label="Similar cases"'  # it scrolls, for keys too
    st.html(f'<div class="vs-cases" {of}>{cards}</div>')
    st.caption("Training cases whose pictures are most alike. They are no diagnosis of this one.")


def _card(api: Api, one: NeighbourOut) -> str:
    png = _thumbnail(api, one.picture) if one.thumbnail and one.picture else None
    image = ""
    if png is not None:
        src = f"data:image/png;base64,{b64encode(png).decode()}"
        image = f'<img src="{src}" alt="Similar training picture">'
    same = " vs-same" if one.similarity >= words.SAME else ""
    alike = f'<p class="vs-alike{same}">{escape(words.likeness(one.similarity))}</p>'
    return f"<figure>{image}{alike}<p>{escape(one.text or '')}</p></figure>"


def _thumbnail(api: Api, picture: str) -> bytes | None:
    held: dict[str, bytes | None] = st.session_state.setdefault("thumbnails", {})
    if len(held) > 200:
        held.clear()
    if picture not in held:
        try:
            held[picture] = api.thumbnail(picture)
        except ApiError:
            return None  # a decoration; the text and the similarity stand
    return held[picture]


def _provenance(turn: TurnOut) -> None:
    rows = [(name.replace("_", " "), value) for name, value in (turn.provenance or {}).items()]
    if turn.confidence is not None:
        rows.append(("confidence by", turn.confidence.method))
    if turn.usage is not None:
        spent = turn.usage
        read = f"{spent.prompt_tokens} read, {spent.image_tokens} of them of the picture"
        rows.append(("tokens", f"{read}; {spent.new_tokens} written"))
    if turn.timing is not None:
        first = "" if turn.timing.first is None else f", first words after {turn.timing.first:.2f}"
        rows.append(("seconds", f"{turn.timing.total:.2f}{first}"))
    if turn.scores:
        likely = sorted(turn.scores.items(), key=lambda pair: -pair[1])[:LABELS]
        rows.append(("by label", ", ".join(f"{label} {value:.2f}" for label, value in likely)))
    rows.append(("answer id", turn.answer_id))
    body = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(_value_text(value))}</td></tr>"
        for name, value in rows
        if value not in (None, "", {}, [])
    )
    st.html(f'<table class="vs-facts">{body}</table>')


def _value_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_value_text(v)}" for k, v in value.items() if v is not None)
    return ", ".join(map(_value_text, value)) if isinstance(value, list | tuple) else str(value)
