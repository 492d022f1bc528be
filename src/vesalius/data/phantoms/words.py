"""What is exactly true of a scene, in words: questions with answers, caption, concepts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vesalius.cases.case import Answer, Question
from vesalius.data.phantoms.scene import HIT, Scene, chance, choose, table

NUMBERS = ("no", "one", "two", "three")


def questions(rng: np.random.Generator, scene: Scene) -> Iterator[Question]:
    """Five to ten questions in the order modality, plane, organ, presence, side, count, size.

    A question is asked only where it has one answer: side, count and size where something is
    found, a size only where all findings have the same. Wordings are drawn with ``rng``.
    """
    about = table()["families"][scene.family]
    yield _ask(rng, "modality", "modality", about["modality"])
    modality = about["modality"] if chance(rng, (1, 2)) else _other_modality(rng, about["modality"])
    yes = "yes" if modality == about["modality"] else "no"
    words = {"asked": table()["modalities"][modality]}
    yield _ask(rng, "is_modality", "modality", yes, words, closed=True)
    if "weighting" in about:
        yield _ask(rng, "weighting", "modality", about["weighting"], options=("t1", "t2"))
    if scene.view != "patch":
        yield _ask(rng, "plane", "plane", scene.view)
    yield _ask(rng, "organ", "organ", about["organ"])
    yield from _about_findings(rng, scene, about)


def _about_findings(rng: np.random.Generator, scene: Scene, about: Any) -> Iterator[Question]:
    kinds = about["kinds"]
    there = scene.findings[0].kind if scene.findings else None
    if there is not None and chance(rng, HIT):
        kind = there
    else:
        kind = choose(rng, [k for k in kinds if k != there])
    words = {"a": kinds[kind]["a"], "plural": kinds[kind]["plural"]}
    yield _ask(rng, "presence", "presence", _yes(kind == there), words, closed=True)
    yield _ask(rng, "abnormal", "presence", _yes(there is not None), closed=True)
    if there is None:
        return
    words = {"plural": kinds[there]["plural"]}
    wording = "half" if scene.view == "patch" else "side"
    yield _ask(rng, wording, "side", str(scene.side), words, options=("left", "right", "both"))
    if kinds[there]["most"] > 1:
        yield _ask(rng, "count", "count", NUMBERS[len(scene.findings)], words)
    yield _ask(rng, "size", "size", scene.findings[0].size, options=("small", "large"))


def caption(rng: np.random.Generator, scene: Scene) -> str:
    """One true sentence: modality, plane, region, and what is found where."""
    about = table()["families"][scene.family]
    name = about["views"][scene.view]["name"].format(weighting=about.get("weighting", "").upper())
    filled = {"name": name, "Name": name[0].upper() + name[1:]}
    patterns = table()["captions"]
    if not scene.findings:
        return str(choose(rng, patterns["normal"]).format(**filled))
    first, number = scene.findings[0], len(scene.findings)
    kind = about["kinds"][first.kind]
    if number == 1:
        what = f"a {first.size} {kind.get('one') or kind['a'].partition(' ')[2]}"
        where = kind.get("where", "in {place}").format(place=first.place, side=first.side)
    else:
        what = f"{NUMBERS[number]} {first.size} {kind['plural']}"
        sides = patterns["halves" if scene.view == "patch" else "sides"]
        where = sides[scene.side]
    return str(choose(rng, patterns["abnormal"]).format(**filled, what=what, where=where))


def concepts(scene: Scene) -> tuple[str, ...]:
    """UMLS concepts (CUIs): the modality's, the region's and the findings'."""
    about = table()["families"][scene.family]
    kinds = dict.fromkeys(about["kinds"][f.kind]["concept"] for f in scene.findings)
    return (*about["concepts"], *kinds)


def context(rng: np.random.Generator) -> dict[str, str]:
    """Indication and history; with a generator of their own they hint at nothing in the picture."""
    return {name: choose(rng, choices) for name, choices in table()["context"].items()}


def _ask(
    rng: np.random.Generator,
    wording: str,
    category: str,
    answer: str,
    words: dict[str, str] | None = None,
    *,
    options: tuple[str, ...] | None = None,
    closed: bool = False,
) -> Question:
    text = choose(rng, table()["questions"][wording]).format(**(words or {}))
    return Question(
        text,
        id=wording,
        answers=(Answer(answer),),
        category=category,
        kind="closed" if closed else "open",
        options=options,
    )


def _other_modality(rng: np.random.Generator, modality: str) -> str:
    return str(choose(rng, [m for m in table()["modalities"] if m != modality]))


def _yes(true: bool) -> str:
    return "yes" if true else "no"
