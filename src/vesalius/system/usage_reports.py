"""What libraries would tell their makers of how they are used: switched off before they load.

Each reads its variable when it is imported, or when its first process starts; so they are set as
``vesalius`` itself is imported, and processes started from here have them, too. Who sets one to
something else has decided that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

SWITCHES: Mapping[str, Mapping[str, str]] = {
    "datasets": {"HF_UPDATE_DOWNLOAD_COUNTS": "false"},
    "gradio": {"GRADIO_ANALYTICS_ENABLED": "False"},
    "huggingface_hub": {"HF_HUB_DISABLE_TELEMETRY": "1"},
    "mlflow": {"MLFLOW_DISABLE_TELEMETRY": "true"},
    "onnxruntime": {"ORT_DISABLE_TELEMETRY": "1"},
    "ray": {"RAY_USAGE_STATS_ENABLED": "0"},
    "streamlit": {"STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false"},
    "ultralytics": {"YOLO_OFFLINE": "true"},
    "vllm": {"VLLM_NO_USAGE_STATS": "1"},
    "wandb": {"WANDB_ERROR_REPORTING": "false"},
}
"""By module, its environment variable and the value that switches reports off.

``huggingface_hub`` reports for transformers, trl, gradio and trackio, too. LanceDB, TensorBoard
and trackio have nothing of their own.
"""


def switch_off() -> None:
    """Set the variables of ``SWITCHES`` that are not set."""
    for variables in SWITCHES.values():
        for name, value in variables.items():
            os.environ.setdefault(name, value)
