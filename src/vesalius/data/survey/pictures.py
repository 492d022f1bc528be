"""What pictures say: which cannot be read, which patients and which copies stand in two places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vesalius.data.audit import Link
from vesalius.data.survey.figures import ROWS, Pair, per_cent, table
from vesalius.data.survey.survey import Survey
from vesalius.data.survey.verdict import Result, measured, unmeasured

ONE_SPLIT = "the set has one split"
NO_PICTURES = "no case has a picture"


def picture_checks(whole: Survey) -> Iterator[Result]:
    """The checks that rest on fingerprints and groups."""
    yield _readable(whole)
    yield _patients(whole)
    if not whole.different:
        yield from (unmeasured(name, NO_PICTURES) for name in ("copies_across", "copies_within"))
        return
    copies = [link for link in whole.links if link.kind != "group"]
    yield _across(whole, copies)
    yield _within(whole, copies)


def _readable(whole: Survey) -> Result:
    if not any(member.unread for member in whole.members) and not whole.different:
        return unmeasured("readable", NO_PICTURES)
    unread = [str(member) for member in whole.members if member.unread]
    share = len(unread) / len(whole.members)
    words = f"{whole.different:,} different pictures were read in {len(whole.members):,} cases."
    if unread:
        words = (
            f"{len(unread):,} of {len(whole.members):,} cases have a picture that cannot be "
            "decoded, and was not compared: vesalius data check says why."
        )
    listed = (table("Not decoded", ("case",), [(name,) for name in unread]),) if unread else ()
    facts = {"pictures": whole.different, "unread_cases": len(unread)}
    return measured("readable", share, words, facts=facts, tables=listed)


def _patients(whole: Survey) -> Result:
    named = sum(member.patient for member in whole.members)
    if not named:
        reason = "the set names no patients: pictures of one may stand in two splits"
        return unmeasured("patients", reason)
    if not whole.later:
        return unmeasured("patients", ONE_SPLIT)
    first_in: dict[str, str] = {}
    for member in whole.members:
        first_in.setdefault(member.group, member.split)
    later = [member for member in whole.members if member.split in whole.later]
    across = [m for m in later if m.patient and first_in[m.group] != m.split]
    share = len(across) / max(1, len(later))
    patients = len({member.group for member in whole.members if member.patient})
    if across:
        patients_across = len({member.group for member in across})
        words = (
            f"{patients_across:,} of {patients:,} patients or studies stand in two splits: "
            f"{per_cent(share)} of the cases that are tested on."
        )
    else:
        words = f"None of {patients:,} patients or studies stands in two splits."
        if named < len(whole.members):
            words += f" {len(whole.members) - named:,} cases name none."
    facts = {"patients": patients, "cases_without": len(whole.members) - named}
    facts |= {"cases_across": len(across)}
    return measured("patients", share, words, facts=facts)


def _across(whole: Survey, copies: Sequence[Link]) -> Result:
    if not whole.later:
        return unmeasured("copies_across", ONE_SPLIT)
    order = {split: place for place, split in enumerate(whole.splits)}
    across = [link for link in copies if link.first.split != link.second.split]
    cases = {
        max(link.first, link.second, key=lambda member: order[member.split]).key for link in across
    }
    rows: list[tuple[str, ...]] = []
    facts: dict[str, Any] = {**_kinds(across)}
    for split in whole.later:
        total = sum(member.split == split for member in whole.members)
        here = sum(key.split == split for key in cases)
        rows.append((split, f"{here:,} of {total:,}", per_cent(here / max(1, total))))
        facts[split] = {"cases": total, "shared": here}
    total = sum(member.split in whole.later for member in whole.members)
    share = len(cases) / max(1, total)
    words = (
        f"{len(cases):,} of {total:,} cases of later splits ({per_cent(share)}) show a picture of "
        "an earlier one, or one saved again."
        if cases
        else "No picture of a later split is one of an earlier one, or one saved again."
    )
    columns = ("split", "cases shared with an earlier one", "share")
    return measured(
        "copies_across",
        share,
        words,
        facts=facts,
        tables=(table("By split", columns, rows),) if cases else (),
        pairs=_pairs(across),
    )


def _within(whole: Survey, copies: Sequence[Link]) -> Result:
    within = [
        link
        for link in copies
        if link.first.split == link.second.split and link.first.group != link.second.group
    ]
    cases = {member.key for link in within for member in (link.first, link.second)}
    share = len(cases) / len(whole.members)
    words = (
        f"{len(cases):,} of {len(whole.members):,} cases ({per_cent(share)}) show a picture that "
        "stands in their split again under another group: they count as independent and are not."
        if cases
        else "No picture stands twice in a split under two groups."
    )
    facts = {"cases": len(cases), **_kinds(within)}
    return measured("copies_within", share, words, facts=facts, pairs=_pairs(within))


def _kinds(some: Sequence[Link]) -> dict[str, int]:
    return {
        kind: sum(link.kind == kind for link in some) for kind in ("same_picture", "near_duplicate")
    }


def _pairs(some: Sequence[Link]) -> tuple[Pair, ...]:
    """The first of each kind to look at: the same picture, and of the saved again the least alike.

    These are the ones to judge a bound by; what is most alike needs no eye.
    """
    same = [link for link in some if link.kind == "same_picture"]
    near = sorted((link for link in some if link not in same), key=lambda link: -link.likeness)
    half = ROWS // 2
    chosen = [*same[: ROWS // 3], *near[: half - 2], *near[max(half - 2, len(near) - 4) :]]
    return tuple(
        Pair(
            (link.first.key, link.second.key),
            "the same picture" if link.kind == "same_picture" else f"likeness {link.likeness:.2f}",
        )
        for link in chosen
    )
