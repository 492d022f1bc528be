"""Three readers with habits of their own: data for a fuser that joins what each of them says.

Run it with ``python examples/fuser.py FOLDER``. Phantoms are drawn once, for four data sets:
with whole captions (``whole``), and with what a reader says who speaks only of what the picture is
and shows (``what``), of how many findings there are and how large (``many``), or of their side
(``side``). A model that learns from one reader is blind to what the others say.
"""

import json
import re
import sys
from pathlib import Path

import vesalius
from vesalius import Case

CASES = {"train": 600, "validation": 60, "test": 300}
FOUND = re.compile(
    r"(?P<name>.+?)(?: with | showing |: )"
    r"(?P<number>\w+) (?P<size>small|large) (?P<kind>.+?) (?:in|on) "
)


def partial(case: Case) -> dict[str, str]:
    """What each reader says of a phantom, read off its caption and its questions."""
    caption = str(case.caption)
    found = FOUND.match(caption)
    if found is None:
        name = re.sub(r"^(?:Normal|Unremarkable) | without abnormality|\.$", "", caption)
        return {
            "what": f"{name[0].upper()}{name[1:]}: normal.",
            "many": "None.",
            "side": "Nowhere.",
        }
    side = next(q.answers[0].text for q in case.questions if q.id in ("side", "half"))
    return {
        "what": f"{found['name']}: {found['kind']}.",
        "many": f"{found['number'].capitalize()}, {found['size']}.",
        "side": f"Side: {side}.",
    }


def main(folder: Path) -> None:
    options = {"cases": CASES, "difficulty": 0.0, "seed": 12}
    dataset = vesalius.open_dataset("phantom", options=options)
    rows: dict[str, list[str]] = {}
    for split in CASES:
        for case in dataset.cases(split):
            for name, caption in {"whole": str(case.caption), **partial(case)}.items():
                picture = folder / name / f"{case.id}.png"
                picture.parent.mkdir(parents=True, exist_ok=True)
                picture.write_bytes(case.pictures[0].read())
                row = {"id": case.id, "image": picture.name, "group": case.group}
                line = json.dumps({**row, "split": split, "caption": caption})
                rows.setdefault(name, []).append(line)
    for name, lines in rows.items():
        (folder / name / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{sum(CASES.values())} pictures and {len(rows)} data sets in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "fuser-data"))
