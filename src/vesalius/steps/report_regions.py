"""Boxes as regions of interest in a DICOM report, by PS3.16 TID 1500 and TID 1410."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from vesalius.cases.case import Box

SCHEME = "99VESALIUS"


def own_code(value: str, meaning: str) -> Any:
    """A concept of our own scheme, so that no system takes it for a finding."""
    from highdicom.sr import CodedConcept

    return CodedConcept(value, SCHEME, meaning)


def measurement_report(
    boxes: Sequence[Box],
    source: Dataset,
    frame: int | None,
    observer: Any,
    algorithm: Any,
) -> Dataset:
    """The root of an Imaging Measurement Report with a group for each box; ``frame`` from 1.

    ``observer``: highdicom's ObserverContext of the device; ``algorithm``: AlgorithmIdentification.
    """
    from highdicom.sr import CodedConcept, MeasurementReport, ObservationContext

    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[
            _group(number, box, source, frame, algorithm) for number, box in enumerate(boxes, 1)
        ],
        title=CodedConcept("126000", "DCM", "Imaging Measurement Report"),
    )
    root: Dataset = report[0]
    return root


def _group(number: int, box: Box, source: Dataset, frame: int | None, algorithm: Any) -> Any:
    from highdicom.sr import (
        CodedConcept,
        ImageRegion,
        Measurement,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        SourceImageForRegion,
        TrackingIdentifier,
    )

    right, bottom = box.x + box.width, box.y + box.height
    corners = box.polygon or ((box.x, box.y), (right, box.y), (right, bottom), (box.x, bottom))
    image = SourceImageForRegion(
        source.SOPClassUID, source.SOPInstanceUID, None if frame is None else [frame]
    )
    percent = CodedConcept("%", "UCUM", "Percent")
    score = own_code("score", "Score of a model")
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(identifier=f"{box.label} {number}"),
        # Coordinates count from the upper left corner of the first pixel, as boxes do (C.18.6).
        referenced_region=ImageRegion(
            "POLYLINE", np.array([*corners, corners[0]], np.float32), image
        ),
        # A code has 16 characters, a label any number.
        finding_type=own_code(f"label-{sha256(box.label.encode()).hexdigest()[:10]}", box.label),
        algorithm_id=algorithm,
        measurements=None
        if box.score is None
        else [Measurement(score, round(100 * box.score, 2), percent)],
    )
