"""An answer as a report: DICOM, for which the picture's file is sent again, or FHIR, without it.

The service keeps no header, so only a file can say whom a DICOM report is filed under.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.cases.series import SeriesPlace
from vesalius.errors import DatasetError, Refusal
from vesalius.service.chat.intake import Intake
from vesalius.service.store import Store
from vesalius.service.store.records import Image, Turn
from vesalius.service.threads import in_thread
from vesalius.steps.fhir import PseudonymousImage, Version, fhir_bundle
from vesalius.steps.structured_report import Algorithm


async def report(store: Store, intake: Intake, owner: str, answer_id: str, data: bytes) -> bytes:
    """A Structured Report (DICOM) of an answer, filed under the patient in the file ``data``.

    Nothing of the file is kept. Refusals ``not_found``, ``image_expired``, ``no_answer``, and
    ``another_picture`` where it is not, byte for byte, the file that was uploaded. ImageError,
    MissingExtra.
    """
    turn, image = await in_thread(_matter, store, owner, answer_id, data)
    frame = turn.view.frame if image.frames > 1 else None
    try:
        return await intake.report((_prediction(turn), data, _algorithm(turn), frame), owner)
    except DatasetError as error:  # a header without the ids that a report refers to
        raise Refusal("dicom_invalid", error.what) from error


def fhir(store: Store, owner: str, answer_id: str, version: Version) -> dict[str, Any]:
    """The answer as a bundle of FHIR resources, its patient and pictures under pseudonyms.

    Refusals ``not_found``, ``image_expired`` and ``no_answer``.
    """
    turn = _answered(store, owner, answer_id)
    images = [store.image(owner, one) for one in turn.images or (turn.image_id or "",)]
    return fhir_bundle(
        _prediction(turn),
        [_pseudonymous(image) for image in images],
        _algorithm(turn),
        version=version,
        issued=turn.finished_at or turn.created_at,
        frame=turn.view.frame if images[-1].frames > 1 else None,
    )


def _pseudonymous(image: Image) -> PseudonymousImage:
    """A picture by its id and the keyed hashes of its header."""
    place = image.place or SeriesPlace()
    return PseudonymousImage(image.id, image.modality, place.patient, place.study, place.series)


def _answered(store: Store, owner: str, answer_id: str) -> Turn:
    turn = store.turn(owner, answer_id)
    if turn.state != "done" or turn.content is None:
        raise Refusal("no_answer", "this question has no answer to report")
    return turn


def _algorithm(turn: Turn) -> Algorithm:
    source = turn.provenance or {}
    return Algorithm(str(source.get("model", "unknown")), _version(source))


def _matter(store: Store, owner: str, answer_id: str, data: bytes) -> tuple[Turn, Image]:
    """The answer and the picture that it is about, which ``data`` was uploaded as."""
    turn = _answered(store, owner, answer_id)
    image = store.image(owner, turn.image_id or "")
    if hashlib.sha256(data).hexdigest() != image.sha256:
        what = "this is not the file that the answer is about"
        raise Refusal("another_picture", what, hint="send the file that was uploaded, unchanged")
    if image.kind != "dicom":
        hint = "reports are filed under a DICOM picture's patient and study"
        raise Refusal("dicom_invalid", "a report needs a DICOM picture", hint=hint)
    return turn, image


def _prediction(turn: Turn) -> Prediction:
    row: dict[str, Any] = {"id": turn.answer_id, "question": turn.question}
    row |= {"answer": turn.content, "confidence": turn.confidence, "abstained": turn.abstained}
    return Prediction.from_row({name: value for name, value in row.items() if value is not None})


def _version(source: Mapping[str, Any]) -> str:
    """What made it, as far as is known: revision, hashes, software."""
    software = source.get("software") or {}
    facts = [f"vesalius {software.get('vesalius', 'unknown')}"]
    names = ("revision", "weights_sha256", "adapter_sha256", "recipe")
    return ", ".join(facts + [f"{name} {source[name]}" for name in names if source.get(name)])
