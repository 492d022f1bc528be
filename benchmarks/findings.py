"""The reader of findings against radlabels' 1,000 labelled reports: precision, recall, F1.

    pip install --no-deps --ignore-requires-python --target "$VESALIUS_CACHE/radlabels" radlabels==0.2.0
    python benchmarks/findings.py

The labels are silver: an information-extraction model read the reports (RadGraph-XL) and the
dictionary was matched inside what it grouped; 461 of 5,049 labels are negations. The rules were
written looking at reports 1 to 500 alone, so those of 501 to 1,000 are told apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter

from vesalius.language.dictionary import finding_dictionary, radlabels_file
from vesalius.language.findings import ORDER, findings

STATUS = {"definitely present": "present", "definitely absent": "absent", "uncertain": "uncertain"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=501, help="number of the first report")
    parser.add_argument("--last", type=int, default=1000)
    parser.add_argument("--wrong", type=int, default=0, help="print so many disagreements")
    chosen = parser.parse_args()
    samples = radlabels_file().parent / "samples"
    labels = json.loads((samples / "synthetic_labels.json").read_text())
    dictionary, counts, shown = finding_dictionary("radlabels"), Counter(), 0
    started, read = time.perf_counter(), 0
    for number in range(chosen.first, chosen.last + 1):
        name = f"synth_{number:04d}"
        wanted = {label: STATUS[status] for label, status in labels[name].items()}
        known = findings((samples / "synthetic_reports" / f"{name}.txt").read_text(), dictionary)
        read += 1
        for label in sorted(wanted.keys() | known.keys()):
            pair = (wanted.get(label, "unmentioned"), known.get(label, "unmentioned"))
            counts[pair] += 1
            if pair[0] != pair[1] and shown < chosen.wrong:
                shown += 1
                print(name, label, *pair, file=sys.stderr)
    seconds = time.perf_counter() - started
    print(f"reports {chosen.first} to {chosen.last}: {read / seconds:.0f} reports/s")
    print("| | labels | precision | recall | F1 |\n| --- | --- | --- | --- | --- |")
    for name, kinds in {**{one: {one} for one in ORDER}, "present or uncertain": ORDER[:2]}.items():
        right = sum(n for (a, b), n in counts.items() if a in kinds and b in kinds)
        wanted = sum(n for (truth, _), n in counts.items() if truth in kinds)
        given = sum(n for (_, answer), n in counts.items() if answer in kinds)
        f1 = 2 * right / max(1, wanted + given)
        shares = f"{right / max(1, given):.3f} | {right / max(1, wanted):.3f} | {f1:.3f}"
        print(f"| {name} | {wanted} | {shares} |")
    both = {pair: n for pair, n in counts.items() if "unmentioned" not in pair}
    agree = sum(n for (truth, answer), n in both.items() if truth == answer)
    print(f"of {sum(both.values())} labels that both mention, {agree} have the same polarity")


if __name__ == "__main__":
    main()
