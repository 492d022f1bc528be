"""Mutated submission files: how many that are wrong the check accepts, and how many right it refuses.

    python benchmarks/submissions.py --files 10000

Submissions of both tasks and of each year are drawn; each is changed in one way that makes it wrong
beyond doubt, and read. Beside them are as many that were changed without harm (another order, line
ends of CR LF, other quoting). More than 0 wrong files accepted, or right ones refused, is exit code 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from vesalius.errors import DatasetError
from vesalius.evaluation.submission.files import read
from vesalius.evaluation.submission.forms import TASKS, Form, forms

IMAGES, KNOWN = 24, [f"C{number:07d}" for number in range(5, 405)]
TEXT = "axial CT of the chest, showing a 3 cm nodule; “left” lobe (arrow) größer 5 µm T1-weighted"
ABSENT = ["nan", "NaN", "None", "null", "<NA>"]
NO_CUIS = ["C123", "c0000005", "CT", "0000005", "C00000051", "C000000５"]
UNPRINTABLE = "\x00\x0b\x0c\x1c\x1d\x1e\x7f\x85\u2028\u2029\ufeff\ufffd"
Lines = list[str]


class Draft:
    """A right submission that was drawn: its lines, the header first, and its images."""

    def __init__(self, draw: random.Random, form: Form) -> None:
        self.draw, self.form, self.mark = draw, form, form.year.delimiter
        start = f"ImageCLEFmedical_Caption_{form.number}_test_"
        self.ids = tuple(f"{start}{n:06d}" for n in range(1, IMAGES + 1))
        self.lines = list(form.lines({name: self._value() for name in self.ids}, self.ids))

    def _value(self) -> str:
        if self.form.task == "concepts":
            return ";".join(self.draw.sample(KNOWN, self.draw.randint(0, 9)))
        caption = " ".join(self.draw.choices(TEXT.split(), k=self.draw.randint(3, 20)))
        return f'a "{caption}" sign' if self.draw.random() < 0.3 else caption

    @property
    def raw(self) -> bytes:
        return "".join(self.lines).encode()

    def row(self) -> int:
        """A row, by its place; the header has 0."""
        return self.draw.randrange(1, len(self.lines))

    def id(self) -> str:
        return self.draw.choice(self.ids)

    def without_row(self) -> Lines:
        place = self.row()
        return [*self.lines[:place], *self.lines[place + 1 :]]

    def inserted(self, line: str) -> Lines:
        place = self.draw.randint(1, len(self.lines))
        return [*self.lines[:place], line, *self.lines[place:]]

    def with_line(self, change: Callable[[str], str]) -> Lines:
        """A row without its end changed."""
        place = self.row()
        line = change(self.lines[place].removesuffix("\n"))
        return [*self.lines[:place], f"{line}\n", *self.lines[place + 1 :]]

    def with_rest(self, rest: str) -> Lines:
        """A row whose value, as it stands in the file, is another."""
        return self.with_line(lambda line: f"{line.split(self.mark)[0]}{rest}")

    def with_id(self, change: Callable[[str], str]) -> Lines:
        return self.with_line(
            lambda line: change((parts := line.split(self.mark, 1))[0]) + self.mark + parts[1]
        )

    def with_value(self, change: Callable[[str], str]) -> Lines:
        """A row whose value is another, quoted as it must be."""

        def changed(line: str) -> str:
            name, value = self.form.fields(line)
            value = change(value)
            if self.form.year.quoted:
                value = '"' + value.replace('"', '""') + '"'
            return f"{name}{self.mark}{value}"

        return self.with_line(changed)

    def with_concepts(self, change: Callable[[list[str]], list[str]]) -> Lines:
        return self.with_value(lambda value: ";".join(change(value.split(";") if value else [])))

    def with_header(self) -> Lines:
        name, heading = self.form.headings
        task = next(task for task in TASKS if task != self.form.task)
        names = [("id", heading), (heading, name), (name, f"{heading}s"), (f" {name}", heading)]
        names += [Form(task, self.form.number).headings, (name, heading, "Score")]
        return [self.mark.join(self.draw.choice(names)) + "\n", *self.lines[1:]]

    def glued(self) -> Lines:
        place = self.draw.randrange(1, len(self.lines) - 1)
        line = self.lines[place].rstrip("\n") + self.lines[place + 1]
        return [*self.lines[:place], line, *self.lines[place + 2 :]]

    def cut(self) -> bytes:
        return self.raw[: self.draw.randrange(len(self.lines[0].encode()), len(self.raw) - 1)]

    def latin(self) -> bytes:
        lines = [line.encode() for line in self.lines]
        place = self.row()
        lines[place] = lines[place].rstrip(b"\n") + "é\n".encode("latin-1")
        return b"".join(lines)

    def utf16(self) -> bytes:
        return "".join(self.lines).encode(self.draw.choice(["utf-16", "utf-16-le", "utf-16-be"]))

    def all_quoted(self) -> Lines:
        fields = [self.form.fields(line[:-1]) for line in self.lines]
        doubled = [[field.replace('"', '""') for field in pair] for pair in fields]
        return [f'"{name}","{value}"\n' for name, value in doubled]

    def shuffled(self) -> Lines:
        return [self.lines[0], *self.draw.sample(self.lines[1:], IMAGES)]


Change = Callable[[Draft], Lines | bytes]
WRONG: dict[str, Change] = {
    "a row is missing": Draft.without_row,
    "a row twice": lambda d: d.inserted(d.lines[d.row()]),
    "an image again": lambda d: d.inserted(f"{d.id()}{d.mark}{KNOWN[0]}\n"),
    "an unknown image": lambda d: d.inserted(f"other_{d.row()}{d.mark}{KNOWN[0]}\n"),
    "an id in capitals": lambda d: d.with_id(str.upper),
    "an id with an ending": lambda d: d.with_id(lambda name: f"{name}.jpg"),
    "an id without zeros": lambda d: d.with_id(lambda name: name.replace("_0", "_")),
    "an id of another split": lambda d: d.with_id(lambda name: name.replace("test", "valid")),
    "white space by an id": lambda d: d.with_id(lambda n: d.draw.choice([f" {n}", f"{n} ", f"{n}\t"])),
    "no id": lambda d: d.with_id(lambda _: ""),
    "another header": Draft.with_header,
    "the header again": lambda d: d.inserted(d.lines[0]),
    "parted by tabs": lambda d: [line.replace(d.mark, "\t", 1) for line in d.lines],
    "parted by semicolons": lambda d: d.with_line(lambda line: line.replace(d.mark, ";", 1)),
    "a field more": lambda d: d.with_line(lambda line: f"{line}{d.mark}0.5"),
    "an id alone": lambda d: d.with_rest(""),
    "an index column": lambda d: [f"{at}{d.mark}{line}" for at, line in enumerate(d.lines)],
    "an empty line": lambda d: d.inserted(d.draw.choice(["\n", "  \n", "\t\n"])),
    "two rows on a line": Draft.glued,
    "line ends mixed": lambda d: d.with_line(lambda line: f"{line}\r"),
    "line ends of CR": lambda d: d.raw.replace(b"\n", b"\r"),
    "no end of the last line": lambda d: d.raw[:-1],
    "the file is cut": Draft.cut,
    "an empty file": lambda _: b"",
    "a byte order mark": lambda d: b"\xef\xbb\xbf" + d.raw,
    "UTF-16": Draft.utf16,
    "a line in Latin-1": Draft.latin,
    "a control character": lambda d: d.with_value(lambda text: f"{text}{d.draw.choice(UNPRINTABLE)}a"),
    "a line end in a field": lambda d: d.with_value(lambda text: f"{text}\n{text}x"),
    "white space by a text": lambda d: d.with_value(lambda t: d.draw.choice([f" {t}x", f"x{t} ", f"x{t}\u00a0"])),
    "too long": lambda d: d.with_value(lambda text: text + "C" * forms().longest),
}  # fmt: skip
OF_TASK: dict[str, dict[str, Change]] = {
    "captions": {
        "an empty caption": lambda d: d.with_value(lambda _: ""),
        "what a program writes for none": lambda d: d.with_value(lambda _: d.draw.choice(ABSENT)),
    },
    "concepts": {
        "a concept twice": lambda d: d.with_concepts(lambda held: (held or KNOWN[:1]) * 2),
        "101 concepts": lambda d: d.with_concepts(lambda _: d.draw.sample(KNOWN, 101)),
        "an unknown concept": lambda d: d.with_concepts(lambda held: [*held, "C9999999"]),
        "no concept": lambda d: d.with_concepts(lambda held: [*held, d.draw.choice(NO_CUIS)]),
        "an empty concept": lambda d: d.with_concepts(lambda held: [*(held or KNOWN[:1]), ""]),
        "an empty first concept": lambda d: d.with_concepts(lambda held: ["", *(held or KNOWN[:1])]),
        "spaces between concepts": lambda d: d.with_value(lambda _: "; ".join(KNOWN[:3])),
        "concepts parted by commas": lambda d: d.with_value(lambda _: ",".join(KNOWN[:3])),
        "concepts parted by spaces": lambda d: d.with_value(lambda _: " ".join(KNOWN[:3])),
    },
}  # fmt: skip
OF_CSV: dict[str, Change] = {
    "a quotation mark is not closed": lambda d: d.with_rest(',"axial'),
    "a quotation mark within": lambda d: d.with_rest(',"an "axial" CT"'),
    "a comma without quotation marks": lambda d: d.with_rest(",axial, CT"),
    "quoted with apostrophes": lambda d: d.with_rest(",'axial, CT'"),
}
HARMLESS: dict[str, Change] = {
    "nothing": lambda d: d.lines,
    "another order": Draft.shuffled,
    "line ends of CR LF": lambda d: d.raw.replace(b"\n", b"\r\n"),
}
HEADLESS: dict[str, Change] = {"no header": lambda d: d.lines[1:]}


def changes(form: Form, *, harm: bool) -> dict[str, Change]:
    """The changes that a form can have, by name."""
    headless = HEADLESS if harm == (form.year.header == "required") else {}
    if harm:
        return WRONG | OF_TASK[form.task] | (OF_CSV if form.year.quoted else {}) | headless
    return HARMLESS | headless | ({"all quoted": Draft.all_quoted} if form.year.quoted else {})


def accepted(path: Path, draw: random.Random, *, harm: bool) -> tuple[str, bool]:
    """One changed file: how it was changed, and whether it is accepted."""
    form = Form(draw.choice(TASKS), draw.choice(list(forms().years)), frozenset(KNOWN))
    draft = Draft(draw, form)
    name, change = draw.choice(list(changes(form, harm=harm).items()))
    result = change(draft)
    path.write_bytes(result if isinstance(result, bytes) else "".join(result).encode())
    try:
        read(path, form, draft.ids)
    except DatasetError:
        return name, False
    return name, True


def measure(files: int, seed: int) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """How many were changed in each way; the wrong ones accepted, and the right ones refused."""
    draw = random.Random(seed)
    total, let_in, kept_out = Counter[str](), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "submission.csv"
        for harm in (True, False):
            for _ in range(files):
                name, fine = accepted(path, draw, harm=harm)
                total[name] += 1
                let_in[name] += harm and fine
                kept_out[name] += not harm and not fine
    return total, +let_in, +kept_out


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--files", type=int, default=10_000, help="files changed to harm, and as many without"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    start = time.perf_counter()
    total, let_in, kept_out = measure(given.files, given.seed)
    for name, count in total.most_common():
        print(f"{count:6,}  {name}")
    print(f"{given.files:,} wrong files: {sum(let_in.values())} accepted {dict(let_in)}")
    print(f"{given.files:,} right files: {sum(kept_out.values())} refused {dict(kept_out)}")
    print(f"{time.perf_counter() - start:.1f} s")
    return 1 if let_in or kept_out else 0


if __name__ == "__main__":
    sys.exit(main())
