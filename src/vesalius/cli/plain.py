"""Tables and coloured text for the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from vesalius.evaluation.formatting import flat

if TYPE_CHECKING:
    from vesalius.data.check import Summary
    from vesalius.data.datasets import Dataset
    from vesalius.data.findings import Finding
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


def checked_line(summary: Summary) -> Callable[[], str]:
    """How far a check has come; while text is looked for, the time left at the pace so far."""
    started: list[float] = []

    def line() -> str:
        if not summary.text_of:
            return f"{summary.pictures} pictures"
        started[:] = started or [monotonic()]
        done, total = summary.text_done, summary.text_of
        left = (monotonic() - started[0]) / done * (total - done) if done else None
        time_left = "" if left is None else f", {left:.0f} s left"
        return f"{summary.pictures} pictures; text: {done} of {total} searched{time_left}"

    return line


def text_line(summary: Summary) -> str:
    """In how many pictures burned-in text was looked for, and how to have it looked for in all."""
    line = f"text was looked for in {summary.text_of} of {summary.different} different pictures"
    part = summary.text_of < summary.different
    return f"{line} (a seeded sample; --text-sample all takes every one)" if part else line


def print_layout(console: Console, dataset: Dataset) -> None:
    """What one's own files were taken for, where that had to be recognised."""
    from vesalius.data.reading.streams import Streams

    if isinstance(dataset, Streams) and dataset.layout:
        console.print(f"read as {dataset.layout}", markup=False, soft_wrap=True)


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Findings by code: how many, what they mean, how to mend them, the first places."""
    from vesalius.data.findings import summary_lines

    for line in summary_lines(findings):
        console.print(escape(line))


def next_line(command: str, *arguments: object) -> str:
    """What to type next, as a shell takes it: a path's blanks quoted, its brackets no markup."""
    return f"next: [bold]{escape(f'{command} {shlex.join(map(str, arguments))}')}[/]"


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
