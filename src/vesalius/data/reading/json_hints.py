"""What to try where a text is nearly JSON."""

from __future__ import annotations


def json_hint(content: str, error: ValueError) -> str | None:
    """What to try, by where a parser stopped; None where nothing is known of it."""
    at = getattr(error, "pos", 0)
    before, here = content[:at].rstrip(), content[at:].strip()
    if here == "," or (before.endswith(",") and here[:1] in ("]", "}")):
        return "remove the comma behind the last item"
    if here.startswith(("'", "True", "False", "None")):
        return "it stands as Python prints it: write it with json.dumps"
    return None
