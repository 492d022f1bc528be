"""Tables and coloured text for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vesalius.evaluation.formatting import flat

if TYPE_CHECKING:
    from vesalius.data.visual_dialogue.files import Written


def counting(console: Console, line: Callable[[], str]) -> AbstractContextManager[object]:
    """A last line that shows, four times a second, what ``line`` returns; only on a terminal."""
    if not console.is_terminal:
        return nullcontext()
    return Live(
        get_renderable=lambda: Text(line(), style="dim"),
        console=console,
        refresh_per_second=4,
        transient=True,
    )


def facts_table(title: str, facts: Mapping[str, Any]) -> Table:
    """Facts as a two-column table; nested ones with dotted names."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_column(style="dim", overflow="fold")
    table.add_column(overflow="fold")
    for name, value in flat(facts):
        table.add_row(name, escape(value))
    return table


def mask_text(tokens: Iterable[tuple[str, bool]]) -> Text:
    """Tokens in colour: those that bear loss in bold green, the others dim."""
    text = Text()
    for token, bears in tokens:
        text.append(token, style="bold black on green" if bears else "dim")
    text.append("\n\ngreen: bears loss", style="green")
    return text


def dialogues_text(done: Written) -> str:
    """What ``vesalius data dialogues`` wrote, and the recipe's block that reads it."""
    lines = [f"{part}: {n} dialogues, {done.turns[part]} turns" for part, n in done.cases.items()]
    dropped = ", ".join(f"{n} {kind}" for kind, n in sorted(done.dropped.items()))
    lines += [f"dropped: {dropped or 'nothing'}; {done.root}/report/dropped.jsonl lists it"]
    without = f"{done.without_summary} cases have none"
    lines += [f"summaries word {done.worded} of {done.pairs} pairs; {without}"]
    if done.unsupported:
        lines += [f"{done.unsupported} sentences did not follow (report/unsupported.jsonl)"]
    images = f", options: {{images: {done.images}}}" if done.images else ""
    block = f"{{dataset: folder, root: {done.root}{images}, task: dialogue}}"
    return "\n".join([*lines, f"read it in a recipe with data: {block}"])
