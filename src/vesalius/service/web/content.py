"""What an answer marks and names beside its words, and who said what; all of it is escaped."""

from __future__ import annotations

from html import escape

import streamlit as st

from vesalius.service.http.answer_schemas import BoxOut, Content, MemberOut, TurnOut
from vesalius.service.web import words
from vesalius.service.web.page_state import PageState
from vesalius.service.web.picture import MARKED
from vesalius.service.web.viewer import tints


def show(turn: TurnOut, *, marked: str | None) -> None:
    """Boxes as a list with the colours they have over the picture, and concepts."""
    if turn.boxes:
        st.html(f'<ul class="vs-marks" aria-label="Marked">{_marks(turn.boxes)}</ul>')
    if turn.concepts:
        chips = "".join(f"<li>{escape(concept)}</li>" for concept in turn.concepts)
        st.html(f'<ul class="vs-concepts" aria-label="Concepts">{chips}</ul>')
    if turn.boxes and turn.answer_id != marked:
        st.button(
            "Show on the picture",
            key=f"mark-{turn.answer_id}",
            type="tertiary",
            icon=":material/select:",
            on_click=_choose,
            args=(turn,),
        )
    nothing = words.nothing(turn)
    if nothing:
        st.caption(nothing)


def evidence(turn: TurnOut) -> None:
    """What each member of a combination answered, and a judge's reasons."""
    rows = "".join(map(_member, turn.members))
    rows += "".join(
        f"<tr><th scope='row'>{escape(one.judge)}</th><td>{escape(one.text)}</td>"
        f"<td>{'' if one.score is None else f'{one.score:.2f}'}</td></tr>"
        for one in turn.reasons
    )
    st.html(f'<table class="vs-facts">{rows}</table>')


def _choose(turn: TurnOut) -> None:
    """This answer's boxes, and the view that they are of."""
    st.session_state[MARKED] = turn.answer_id
    PageState(PageState.read().conversation, turn.image_id, turn.frame, turn.window).go()


def _marks(boxes: list[BoxOut]) -> str:
    """An item for each label, with the scores of its boxes."""
    tint_of = {box.label: tint for box, tint in zip(boxes, tints(boxes), strict=True)}
    items = []
    for label, tint in tint_of.items():
        same = [box for box in boxes if box.label == label]
        scores = ", ".join(f"{box.score:.2f}" for box in same if box.score is not None)
        count = f" × {len(same)}" if len(same) > 1 else ""
        small = f"<small>{scores}</small>" if scores else ""
        swatch = f'<span class="vs-tint" style="background:{tint}"></span>'
        items.append(f"<li>{swatch}{escape(label)}{count} {small}</li>")
    return "".join(items)


def _member(one: MemberOut) -> str:
    sure = "" if one.confidence is None else f"{one.confidence.value:.2f}"
    trust = "abstained" if one.abstained else sure
    text = "; ".join(filter(None, (one.answer, _summary(one))))
    return (
        f"<tr><th scope='row'>{escape(one.member)}</th><td>{escape(text)}</td><td>{trust}</td></tr>"
    )


def _summary(one: Content) -> str:
    """Boxes and concepts in one line."""
    labels = [box.label for box in one.boxes or ()]
    return ", ".join([*labels, *(one.concepts or ())])
