"""The data cards: what each data set is, under which licence, and what is odd about it."""

from __future__ import annotations

from typing import Any

from vesalius_docs.settings import fields_of
from vesalius_docs.words import code, table

HEAD = """# Data cards

What `vesalius data list` shows, in full. Counts are the publishers', for orientation; a reader
never relies on them. No medical data set travels with Vesalius: only the drawn phantoms do.
"""


def page() -> str:
    """A card per registry entry, with its reader's options."""
    from vesalius.data.cards import card
    from vesalius.data.datasets import datasets

    cards = {name: card(name) for name in datasets}
    rows = [(f"[{name}](#data-{name})", c.summary, c.licence) for name, c in cards.items()]
    parts = [HEAD, table(("name", "what", "licence"), rows)]
    for name, entry in cards.items():
        parts += [f"(data-{name})=", f"## {name}\n", f"**{entry.title}.** {entry.summary}\n"]
        parts += [_facts(entry), _releases(entry), "Mind:\n"]
        parts += [*(f"- {' '.join(quirk.split())}" for quirk in entry.quirks), ""]
        parts += [_options(datasets, name)]
    return "\n".join(parts)


def _facts(entry: Any) -> str:
    rows = {
        "licence": entry.licence,
        "home": f"<{entry.homepage}>",
        "hub": ", ".join(map(code, entry.hub)),
        "fields": "; ".join(entry.fields),
        "cite": "" if entry.citation == "none" else entry.citation,
        "use": entry.intended_use,
    }
    return table(("", ""), ((code(k), v) for k, v in rows.items() if v))


def _releases(entry: Any) -> str:
    rows = [(r.name, _counts(r.images), _counts(r.questions)) for r in entry.releases]
    return table(("release", "pictures", "questions"), rows) if rows else ""


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in counts.items())


def _options(registry: Any, name: str) -> str:
    try:
        settings = getattr(registry[name], "options", None)
    except ModuleNotFoundError as error:  # named in the registry, its reader still to come
        if not str(error.name).startswith("vesalius."):
            raise
        return "Its reader is not in this version.\n"
    if settings is None or not settings.model_fields:
        return "The reader has no options of its own.\n"
    return f"Options (`--set key=value`, or `data.options` in a recipe):\n\n{fields_of(settings)}"
