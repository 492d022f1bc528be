"""What do scores rest on? A model without eyes and one with, probed on drawn pictures.

python examples/probe.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import vesalius

CASES = {"train": 60, "validation": 10, "test": 20}
DATA = {"dataset": "phantom", "options": {"cases": CASES}}


def main() -> None:
    with TemporaryDirectory() as folder:
        for name in ("majority", "linear_probe"):
            model = {"name": name}
            recipe = vesalius.Recipe.model_validate({"name": name, "data": DATA, "model": model})
            run = vesalius.fit(recipe, Path(folder) / name)
            probes = vesalius.probe(run, only=["blank", "noise", "reworded", "asserted-friend"])
            print(f"\n{name}")
            for sentence in probes.verdict():
                print(f"- {sentence}")


if __name__ == "__main__":
    main()
