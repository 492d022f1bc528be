"""Cases from the field, each by its own call, and whether what comes out is right.

    python benchmarks/field_cases.py ../shared/cases            all: a line a case, then n of n by kind
    python benchmarks/field_cases.py ../shared/cases T15b S31   these alone, by how their id begins

``data/cases.json`` below the folder names files, calls and what is right; the situations that are
only told in words are drawn in field_situations.py. The commands run as people run them, in a
process of their own; HTTP goes to a service on loopback. Exit 1 if any is wrong, 2 if one has no
judge.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from field_deidentified import (
    no_alarm,
    no_name,
    shows_identity,
    small_letters,
    whole_object,
)
from field_http import HTTP
from field_judges import (
    Bench,
    Case,
    Judge,
    Wrong,
    boxes_of_slake,
    checked,
    line,
    near_duplicates,
    percentiles,
    read,
    refused,
    shades,
    through_table,
    unreadable,
)
from field_situations import SITUATIONS

EXACT = "LINEAR_EXACT"
OWN = "own range"
PAIRS = near_duplicates(("a0", "b0"), ("a1", "b1"), ("a2", "b2"))
FRAMES = unreadable("NumberOfFrames")
FRACTIONS = refused(r"row 1\b", "first pixel|fraction|per cent")
NO_PICTURE = refused(r"row 1\b", r"1 <image>", "0 pictures")
NODULES = read(8, "nodule {}".format)


def lateral(n: int) -> str:
    return f"Which side is lesion {n}? left"


def always(words: str) -> Judge:
    return read(8, lambda _: words)


JUDGES: dict[str, Judge] = {
    "T28_patient_id_heading": read(8, "nodule {}".format, "warning", "--column patient=patient_id"),
    "T28c_study_id": read(8, "nodule {}".format, "warning", "--column patient=subject_id"),
    "T01b_duplicate_patient": refused("two columns", "patient"),
    "T10c_missing_alone": refused(r"row 1\b.*p7\.2.*no such file", r"row 2\b.*p8\.jpg"),
    "T10b_two_endings": refused(r"row 1\b", r"s1\.jpg", r"s1\.png"),
    "T11b_conversations_parts": read(8, lateral),
    "T11_messages_parts": read(8, lateral),
    "T11d_swift_query": always("Which side? left"),
    "T37b_caption_and_text": NODULES,
    "T02_nan_caption": refused(r"row 3\b.*nan", r"row 4\b.*NULL", r"row 6\b.*nan"),
    "T02c_none_caption": refused("8 errors", r"row 1\b.*None"),
    "A01_ct_jpeg75": PAIRS,
    "A09_ct_window": PAIRS,
    "D01_window_below_one": shades(line(100, 900), EXACT),
    "D42g_w_0.999": shades(line(0.5, 999.5), EXACT),
    "D02_8bit_rescale": shades(line(0, 255), OWN),
    "D02b_8bit_small_slope": shades(line(0, 255), OWN),
    "D44b_nm8_slope100": shades(line(0, 199), OWN),
    "D44d_8bit_modality_lut16": shades(through_table, OWN),
    "D05_padding_range": shades(percentiles(0, 100), "percentile", within=2.5),
    "D04_padding_us_signed": shades(percentiles(-2000, -2000), "percentile", within=2.5),
    "D07_voilut_middle": shades(line(0, 4095)),
    "D46b_voi_slice_bright": shades(line(0, 4095)),
    "D08_voilut_first_us_negative": shades(line(-512, 511)),
    "D17_names_deflated_uid": shades(percentiles(), "percentile", within=2.5),
    "D41b_intercept_comma": unreadable("RescaleIntercept", "no number"),
    "D41d_slope_two": unreadable("RescaleSlope", "2 values"),
    "D47_three_said_one": FRAMES,
    "D47b_three_said_two": FRAMES,
    "D47c_three_said_four": FRAMES,
    "T33d_lone_surrogate_caption": refused(r"t\.jsonl row 1\b"),
    "T33e_lone_surrogate_answer": refused(r"t\.jsonl row 1\b"),
    "T33h_nul_image": refused(r"t\.jsonl row 1\b", "no such file"),
    "T36_placeholder_without_image": NO_PICTURE,
    "T36c_image_null": NO_PICTURE,
    "T15d_yolo_numbers_as_boxes": FRACTIONS,
    "T15f_percent_boxes": FRACTIONS,
    "T04_excel_sep_line": NODULES,
    "T05b_pipe_in_heading": read(8, "nodule {}".format, r"sex m\|f"),
    "T06_utf16": read(8, "nódulo {}".format),
    "T22_trailing_delimiter": NODULES,
    "T09_ext_case_sub": NODULES,
    "T09c_txt_upper": NODULES,
    "L04_slake": boxes_of_slake,
    "T13_json_is_lines": NODULES,
    "T13b_jsonl_is_list": NODULES,
    "T17_parquet_list_of_images": always("which side? left"),
    "T17b_parquet_path_only": read(8, "n {}".format),
    "T15b_via": read(8, lambda _: "cyst [4.0, 4.0, 10.0, 10.0]", "VIA"),
    "T18b_data_url": read(4, "n {}".format),
    "T30b_llava_roles": always("side? left"),
    "T33l_caption_list": read(8, lambda _: "a nodule", r"2 captions|several captions"),
    "T27_5_patients": read(20, lambda _: "c", "warning", "5 patients", "test is empty"),
    "T27_one_patient": read(8, "nodule {}".format, "warning", "1 patients?", "test are empty"),
    "E16c_dicomdir_small_letters": small_letters,
    "E24r_frames_zero_reader": checked("dicom", "deid/E24_frames_zero", r"\b1 pictures, 0 errors"),
    "T21_bool_answer": read(8, lambda n: f"is there a nodule? {('no', 'yes')[n % 2]}"),
    **HTTP,
}
"""By id; the kinds below judge what is not here."""
KINDS: dict[str, Judge] = {
    "the patient's own name survives de-identification": no_name,
    "objects that show identity pass without a word": shows_identity,
    "de-identification changes what the object is": whole_object,
    "false alarms of the check": no_alarm,
}


def cases_of(folder: Path) -> list[Case]:
    cases = json.loads((folder / "data/cases.json").read_text(encoding="utf-8"))
    drawn = [{"id": name, "kind": kind, "inputs": []} for name, kind, _ in SITUATIONS]
    return [*cases, *drawn]


def main(folder: Path, *chosen: str) -> int:
    judges = JUDGES | {name: judge for name, _, judge in SITUATIONS}
    right: Counter[str] = Counter()
    every: Counter[str] = Counter()
    begun = time.perf_counter()
    for case in cases_of(folder):
        name, kind = case["id"], case["kind"]
        if chosen and not name.startswith(chosen):
            continue
        judge = judges.get(name) or KINDS.get(kind)
        if judge is None:
            print(f"{name}: no judge for the kind {kind!r}", file=sys.stderr)
            return 2
        every[kind] += 1
        holds, seen = judged(judge, folder / "data", case)
        right[kind] += holds
        print(f"{'right' if holds else 'WRONG'}  {name}  [{kind}]  {seen}", flush=True)
    print()
    for kind, count in every.items():
        print(f"{right[kind]:3} of {count:2}  {kind}")
    seconds = time.perf_counter() - begun
    print(f"{right.total():3} of {every.total():2}  all, in {seconds:.0f} s")
    return int(right != every)


def judged(judge: Judge, data: Path, case: Case) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory() as work:
        try:
            return True, judge(Bench(data.absolute(), Path(work)), case)
        except Wrong as wrong:
            return False, str(wrong)
        except Exception as error:  # noqa: BLE001  (a case that cannot be judged is not right)
            traceback.print_exc()
            return False, f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
