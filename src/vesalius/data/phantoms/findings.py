"""Drawn radiology findings: nodules, effusions, lesions, bleeds, cysts and masses."""

from __future__ import annotations

import numpy as np

from vesalius.data.phantoms.canvas import Canvas, smooth
from vesalius.data.phantoms.scene import Finding

# The shade each kind is painted in, per family; bright on a bleed in T1 is dark in T2.
SHADES: dict[tuple[str, str], float] = {
    ("chest_film", "nodule"): 0.98,
    ("chest_film", "pleural effusion"): 0.90,
    ("head_mr_t1", "lesion"): 0.12,
    ("head_mr_t1", "haemorrhage"): 1.00,
    ("head_mr_t2", "lesion"): 1.00,
    ("head_mr_t2", "haemorrhage"): 0.02,
    ("abdomen_ct", "cyst"): 0.10,
    ("abdomen_ct", "mass"): 1.00,
}


def strength(difficulty: float) -> float:
    """How opaque a finding is: 1 at difficulty 0, 0.8 at 0.3, a third at 1."""
    return 1 - 0.66 * difficulty


def draw(canvas: Canvas, family: str, finding: Finding, difficulty: float) -> None:
    """Paint one finding within its box."""
    shade, alpha = SHADES[family, finding.kind], strength(difficulty)
    if finding.kind == "pleural effusion":
        _fluid(canvas, finding, shade, alpha)
        return
    centre = (finding.x, finding.y)
    # The soft edge is centred on the ellipse: half of it is drawn inside, half outside.
    soft = 0.04 if finding.kind == "cyst" else 0.06
    shape = canvas.ellipse(centre, (finding.rx, finding.ry), soft=soft, rough=0.05)
    canvas.paint(shape, shade, alpha=alpha)
    if finding.kind == "mass":  # an enhancing rim round a poorer core
        core = (finding.rx * 0.5, finding.ry * 0.5)
        canvas.paint(canvas.ellipse(centre, core, soft=0.12), 0.66, alpha=alpha * 0.7)


def _fluid(canvas: Canvas, finding: Finding, shade: float, alpha: float) -> None:
    """A meniscus: highest at the chest wall, sinking towards the heart (fluid in the upright)."""
    outward = -1 if finding.side == "right" else 1
    from_wall = (canvas.u - np.float32(finding.x)) * np.float32(-outward / finding.rx)
    from_wall = (from_wall + 1) / 2
    sunk = 1 - (1 - from_wall.clip(0, 1)) ** 2
    top = np.float32(finding.y - finding.ry) + np.float32(finding.ry * 0.8) * sunk
    across = smooth((1 - np.abs(2 * from_wall - 1)) * 6)
    down = smooth((canvas.v - top) * 16) * smooth(
        (np.float32(finding.y + finding.ry) - canvas.v) * 16
    )
    canvas.paint(((slice(None), slice(None)), across * down), shade, alpha=alpha)
