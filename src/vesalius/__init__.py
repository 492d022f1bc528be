"""Vesalius: medical images and their words, prepared, adapted, combined, evaluated and served.

Nouns and verbs are imported when they are first used: ``import vesalius`` loads no torch, and no
numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vesalius.system import usage_reports
from vesalius.system.version import __version__ as __version__

if TYPE_CHECKING:
    from vesalius.cases.case import Answer, Box, Case, Question, Source
    from vesalius.cases.dialogue import Dialogue, Turn
    from vesalius.cases.picture import Picture
    from vesalius.cases.prediction import Confidence, Neighbour, Prediction, Usage
    from vesalius.data.open import open_dataset
    from vesalius.errors import VesaliusError
    from vesalius.recipe import Recipe, load_recipe
    from vesalius.run import Run
    from vesalius.steps.evaluate import compare, evaluate
    from vesalius.steps.fit import fit
    from vesalius.steps.load import load
    from vesalius.steps.predict import ask, predict
    from vesalius.steps.probe import probe
    from vesalius.steps.report import report

__all__ = [
    "Answer",
    "Box",
    "Case",
    "Confidence",
    "Dialogue",
    "Neighbour",
    "Picture",
    "Prediction",
    "Question",
    "Recipe",
    "Run",
    "Source",
    "Turn",
    "Usage",
    "VesaliusError",
    "ask",
    "compare",
    "evaluate",
    "fit",
    "load",
    "load_recipe",
    "open_dataset",
    "predict",
    "probe",
    "report",
]

_MODULES = {
    "cases.case": ("Answer", "Box", "Case", "Question", "Source"),
    "cases.dialogue": ("Dialogue", "Turn"),
    "cases.picture": ("Picture",),
    "cases.prediction": ("Confidence", "Neighbour", "Prediction", "Usage"),
    "data.open": ("open_dataset",),
    "errors": ("VesaliusError",),
    "recipe": ("Recipe", "load_recipe"),
    "run": ("Run",),
    "steps.evaluate": ("compare", "evaluate"),
    "steps.fit": ("fit",),
    "steps.load": ("load",),
    "steps.predict": ("ask", "predict"),
    "steps.probe": ("probe",),
    "steps.report": ("report",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


usage_reports.switch_off()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
