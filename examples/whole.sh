#!/usr/bin/env bash
# The whole way on one screen: import -> fit -> predict -> evaluate -> report -> serve.
# Run it with `examples/whole.sh [new folder]`. Pictures are drawn; no download, no GPU.
set -euo pipefail
recipe="$(dirname "$(realpath "$0")")/own-data.yaml"
work="${1:-runs/whole}"

# Forty pictures in a folder, and a table of your own columns: here they are drawn.
mkdir -p "$work/scans"
python - "$work/scans" <<'PYTHON'
import csv, itertools, pathlib, sys, vesalius
folder = pathlib.Path(sys.argv[1])
drawn = vesalius.open_dataset("phantom", options={"cases": {"train": 40}}).cases("train")
with (folder / "scans.csv").open("w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["file", "pseudonym", "question", "answer"])
    for case in drawn:
        (folder / case.pictures[0].key).write_bytes(case.pictures[0].read())
        for q in itertools.islice(case.questions, 4):
            rows.writerow([case.pictures[0].key, case.group, q.text, q.answers[0].text])
PYTHON

vesalius data import "$work/scans/scans.csv" "$work/data" --column image=file --column patient=pseudonym
vesalius fit "$recipe" --set data.root="$work/data" --run "$work/run"
vesalius predict --run "$work/run"
vesalius evaluate "$work/run"
vesalius report "$work/run"

vesalius serve --run "$work/run" --port 0 --state "$work/state" 2> "$work/serve.log" &
server=$!
trap 'kill $server 2> /dev/null || true; wait $server || true' EXIT
url=""
for _ in $(seq 240); do # at most two minutes until the model has made its first inference
  url=$(sed -n 's/^vesalius serves \(http[^ ]*\).*/\1/p' "$work/serve.log")
  if [ -n "$url" ] && curl -sf "$url/readyz" > /dev/null; then break; fi
  kill -0 $server || { cat "$work/serve.log" >&2; exit 1; }
  sleep 0.5
done
picture=$(find "$work/scans" -name '*.png' | sort | sed -n 1p)
image=$(curl -sf -F "image_file=@$picture" "$url/upload_image" | python -c 'import json, sys; print(json.load(sys.stdin)["image_id"])')
curl -sf "$url/ask_question" -d "image_id=$image" -d "question=which plane is shown?" |
  python -c 'import json, sys; print("served answer:", json.load(sys.stdin)["answer"])'
