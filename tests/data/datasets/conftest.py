"""The reader's tests write their DICOM objects as the decoder's tests do."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "cases"))
