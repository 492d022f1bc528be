"""What others read: a data set for the hub, its card as Croissant, an answer as FHIR.

Run it with ``python examples/formats.py [folder]``. Everything is drawn here or made up.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import vesalius
from vesalius.cases.prediction import Confidence
from vesalius.data.cards import card
from vesalius.data.croissant.card import croissant_card
from vesalius.data.hub_export import export_hub_folder
from vesalius.steps.fhir import PseudonymousImage, fhir_bundle
from vesalius.steps.structured_report import Algorithm


def main(folder: Path) -> None:
    """Write the three forms into a new folder, and say what is in them and what is not."""
    drawn = vesalius.open_dataset("phantom", options={"cases": {"train": 8, "test": 4}})
    done = export_hub_folder(drawn, folder / "hub", card=card("phantom"))
    print(f"hub: {dict(done.rows)} rows; not written: {dict(done.losses) or 'nothing'}")

    described = croissant_card(card("phantom"), drawn, root=folder / "hub")
    (folder / "hub" / "croissant.json").write_text(json.dumps(described.content, indent=2))
    print("croissant, left out:", *described.omissions, sep="\n  ")

    answer = vesalius.Prediction(
        "answer-1",
        vesalius.Answer("no nodule"),
        question="is there a nodule?",
        confidence=Confidence(0.83, "made up"),
    )
    bundle = fhir_bundle(
        answer,
        [PseudonymousImage("picture-1", "CT")],
        Algorithm("example", "1"),
        version="R4",
        issued=datetime.now(UTC),
    )
    (folder / "report.fhir.json").write_text(json.dumps(bundle, indent=2))
    print("fhir:", *(entry["resource"]["resourceType"] for entry in bundle["entry"]))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "formats"))
