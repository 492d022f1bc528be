"""The engine parity gate before a server of a run's weights: healthy, and with two known faults.

    python benchmarks/parity.py --items 32

A small LLaVA is trained on phantoms for 40 steps, and a server that speaks vLLM's protocol (that of
the tests; vLLM itself is not run) answers in front of it: as it should, with the adapter ignored,
and under another chat template.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from vesalius import Recipe
from vesalius.models.endpoint import EndpointSettings
from vesalius.steps.fit import fit
from vesalius.steps.parity import prove
from vllm_server import Vllm

RECIPE = {
    "name": "small",
    "data": {
        "dataset": "phantom",
        "options": {"cases": {"train": 8, "validation": 2, "test": 6}, "size": 48},
        "leaks": "allow",
    },
    "model": {
        "name": "generative",
        "family": "llava",
        "tiny": True,
        "training": {"max_steps": 40, "batch": 4, "learning_rate": 1e-2},
    },
    "decoding": {"max_new_tokens": 6},
}
FAULTS = {"": "healthy", "ignored": "adapter ignored", "template": "another chat template"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=32)
    items = parser.parse_args().items
    with tempfile.TemporaryDirectory() as folder:
        run = fit(Recipe.model_validate(RECIPE), Path(folder) / "small")
        for fault, name in FAULTS.items():
            server = Vllm(run, fault)
            result = prove(run, EndpointSettings(base_url=server.url), items=items)
            server.close()
            print(f"{name}: {result.verdict}")
            for fact, value in result.facts().items():
                print(f"  {fact}: {value}")


if __name__ == "__main__":
    main()
