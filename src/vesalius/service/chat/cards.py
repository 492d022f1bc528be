"""What the service says of itself: its version, its rules, and the card of the model behind it."""

from __future__ import annotations

from typing import Any

from vesalius.errors import MissingExtra
from vesalius.run import Run, environment
from vesalius.service.chat.history import MAX_PICTURES
from vesalius.service.container import Service
from vesalius.service.http.schemas import DISCLAIMER
from vesalius.system.version import __version__

FORMATS = ("PNG", "JPEG", "WebP", "TIFF", "BMP", "GIF", "DICOM")
UNKNOWN = """# {model}

**{disclaimer}**

Vesalius did not fit this model: its publisher's card says how it was made and what it can do;
nothing was measured of it here.
"""


def version_of(service: Service) -> dict[str, Any]:
    """Versions, hashes and the rules that callers should know."""
    settings = service.settings
    here = environment()
    return {
        "name": "vesalius",
        "version": __version__,
        "python": here["python"],
        "packages": here["packages"],
        "model": service.engine.about() if service.ready else None,
        "policy": {
            "text_in_dicom": settings.text_in_dicom,
            "text_in_pictures": settings.text_in_pictures,
            "mask": service.intake.finds_text,
            "review": service.review is not None,
            "abstain_below": _threshold(service),
            "calibrated": None if service.calibration is None else service.calibration.basis,
            "history": service.history,
            "image_hours": settings.image_hours,
            "text_days": settings.text_days,
            "max_body": settings.max_body,
            "max_question": settings.max_question,
            "max_turns": settings.max_turns,
            "max_study": settings.max_study,
            "max_pictures": MAX_PICTURES,
            "max_tokens": settings.max_tokens,
            "formats": list(FORMATS),
        },
        "disclaimer": DISCLAIMER,
    }


def _threshold(service: Service) -> float | None:
    """The confidence below which answers are abstained from: as set, else by the calibration."""
    if service.settings.abstain_below is not None or service.calibration is None:
        return service.settings.abstain_below
    return round(service.calibration.threshold, 4)


def card(service: Service) -> str:
    """The model's card as Markdown, without the hub's metadata at its head."""
    if service.card is None:
        service.card = _card(service)
    return service.card


def _card(service: Service) -> str:
    if service.run is None:
        model = service.engine.about().get("model", "A model")
        return UNKNOWN.format(model=model, disclaimer=DISCLAIMER)
    try:
        from vesalius.steps.export_card import model_card
    except ImportError as error:
        raise MissingExtra("huggingface_hub", "models") from error
    run = Run.open(service.run)
    text = model_card(run, "", merged=True)
    body = text.partition("---\n")[2].partition("---\n")[2]
    return body.partition("\n## Use\n")[0].strip() + "\n"  # how to load exported weights
