"""Vesalius: medical images and their words, prepared, adapted, combined, evaluated and served."""

from vesalius.cases.case import Answer, Box, Case, Question, Source
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Confidence, Neighbour, Prediction, Usage
from vesalius.errors import VesaliusError
from vesalius.recipe import Recipe, load_recipe
from vesalius.run import Run

__version__ = "0.1.0"

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
    "load_recipe",
]
