"""The cards of data sets, for the terminal."""

from typing import Any


def cards_table() -> Any:
    """The data sets with a line each, and where they lie."""
    from rich.table import Table

    from vesalius.data.cards import card_or_none
    from vesalius.data.datasets import datasets
    from vesalius.data.open import lies_at

    table = Table("name", "what", "licence", "found", box=None, pad_edge=False)
    for name in datasets:
        entry = card_or_none(name)
        what = (entry.summary, entry.licence) if entry else ("", "")
        table.add_row(name, *what, lies_at(name))
    return table


def card_text(name: str) -> str:
    """A data set's card and its reader's options, in rich's markup."""
    from rich.markup import escape

    from vesalius.data.cards import card
    from vesalius.data.datasets import datasets

    reader, entry = datasets[name], card(name)
    lines = [f"[bold]{escape(entry.title)}[/bold]", escape(entry.summary), ""]
    named = {"licence": entry.licence, "homepage": entry.homepage, "citation": entry.citation}
    named |= {"hub": ", ".join(entry.hub) or "none", "use": entry.intended_use}
    lines += [f"[bold]{key}[/bold] {escape(value)}" for key, value in named.items()]
    for release in entry.releases:
        counts = [f"{what} {getattr(release, what)}" for what in ("images", "questions")]
        lines.append(f"[bold]about[/bold] {escape(release.name)}: {escape('; '.join(counts))}")
    lines += ["", "[bold]mind[/bold]", *(f"- {escape(quirk)}" for quirk in entry.quirks)]
    settings = getattr(reader, "options", None)
    fields = {} if settings is None else settings.model_fields
    lines += ["", "[bold]options[/bold]"] + [
        f"- {key} = {field.get_default(call_default_factory=True)!r}: {escape(_line(field))}"
        for key, field in fields.items()
    ]
    return "\n".join([*lines, "- split_file: your own splits, JSON lines of id and split"])


def _line(field: Any) -> str:
    return " ".join((field.description or "").split())
