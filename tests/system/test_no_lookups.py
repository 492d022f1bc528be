"""No library that we load looks up a host behind our back, in no process of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import failing_resolver
import pytest

from vesalius.system.usage_reports import SWITCHES

SEEN = """
import time
from PIL import Image
from vesalius.system.workers import Pool
pool = Pool("vesalius.data.burned_in:find_text", size=1, seconds=60)
pool.run(Image.new("RGB", (200, 64), "white"))
time.sleep(15)
pool.close()
"""
FIT = """
from pathlib import Path
from vesalius.cli.main import app
Path("r.yaml").write_text('''
name: r
data: {dataset: phantom, options: {cases: {train: 4, validation: 2, test: 2}, size: 48}}
model: {name: generative, family: llava, tiny: true, training: {max_steps: 2}}
''')
app("fit r.yaml --run run --report-to wandb --report-to tensorboard".split(), standalone_mode=False)
assert list(Path("run").glob("wandb/offline-run-*")) and list(Path("run/tensorboard").iterdir())
"""
PROGRAMS = {
    # Each does what makes the library report, with the time that it takes for it.
    "datasets": "from datasets.load import increase_load_count as count\ncount('a/b')",
    "huggingface_hub": """
import time
from huggingface_hub.utils import send_telemetry
send_telemetry("here")
time.sleep(2)
""",
    "lancedb": """
import lancedb
table = lancedb.connect("here").create_table("one", [{"vector": [0.0, 1.0]}])
assert table.search([0.0, 1.0]).limit(1).to_list()
""",
    "onnxruntime": "import onnxruntime, time\ntime.sleep(15)",
    # Whose head asks clouds for the machine's kind, reports or not, unless its home has this file:
    # system/ray_driver.py sees to it.
    "ray": """
import ray
from pathlib import Path
Path("~/ray_bootstrap_config.yaml").expanduser().write_text("{}")
from ray._common.usage.usage_lib import usage_stats_enabled
ray.init(num_cpus=1, object_store_memory=80_000_000, include_dashboard=False)
here, there = usage_stats_enabled(), ray.get(ray.remote(usage_stats_enabled).remote())
ray.shutdown()
assert not (here or there), (here, there)
""",
    "streamlit": """
import subprocess, sys
command = [sys.executable, "-m", "streamlit", "config", "show"]
shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
assert "gatherUsageStats = false" in shown.splitlines()
""",
    "tensorboard": """
from torch.utils.tensorboard import SummaryWriter
SummaryWriter("here").add_scalar("a", 1.0, 1)
""",
    "ultralytics": "import ultralytics, time\ntime.sleep(2)",
    "wandb": """
import wandb
run = wandb.init(project="p", mode="offline")
run.log({"a": 1})
run.finish()
""",
}
SPEAKS = {"datasets", "huggingface_hub", "onnxruntime", "ultralytics"}
"""Those that are known to ask for a host unless they are told not to."""
ELSEWHERE = {"gradio", "mlflow", "vllm"}
"""Those that are not beside us: mlflow is tried in an environment of its own, vLLM is a server of
somebody's, and gradio comes with nothing that we import."""


@pytest.fixture
def _spaces() -> None:
    if not failing_resolver.able():
        pytest.skip("needs Linux and the right to namespaces")


@pytest.mark.slow
@pytest.mark.usefixtures("_spaces")
@pytest.mark.parametrize("module", PROGRAMS)
def test_a_library_asks_for_no_host_once_vesalius_is_imported(module: str, tmp_path: Path) -> None:
    if find_spec(module) is None:
        pytest.skip(f"needs {module}")
    program = PROGRAMS[module]
    behind = failing_resolver.start(tmp_path / "behind", f"import vesalius\n{program}")
    output, _ = behind.communicate(timeout=240)
    assert behind.returncode == 0, output
    assert failing_resolver.names_in(tmp_path / "behind") == []
    if module in SPEAKS:
        failing_resolver.start(tmp_path / "alone", program).communicate(timeout=240)
        assert failing_resolver.names_in(tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.usefixtures("_spaces")
@pytest.mark.parametrize(("needs", "program"), [("rapidocr", SEEN), ("wandb", FIT)])
def test_our_own_work_asks_for_no_host(needs: str, program: str, tmp_path: Path) -> None:
    """Pictures read in a process of ours; a fit with its trackers."""
    pytest.importorskip(needs)
    process = failing_resolver.start(tmp_path / "names", program)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert failing_resolver.names_in(tmp_path / "names") == []


@pytest.mark.slow
@pytest.mark.usefixtures("_spaces")
def test_the_resolver_hears_what_asks_without_the_c_library(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    program = """
import wandb
try:
    wandb.init(project="p", settings=wandb.Settings(init_timeout=5, base_url="https://a.example"))
except wandb.errors.CommError:
    pass
"""
    online = {"WANDB_MODE": "online", "WANDB_API_KEY": "0" * 40}
    failing_resolver.start(tmp_path / "names", program, **online).communicate(timeout=120)
    assert "a.example" in failing_resolver.names_in(tmp_path / "names")


def test_every_switch_is_tried_or_out_of_reach() -> None:
    assert set(SWITCHES) - set(PROGRAMS) == ELSEWHERE


def test_every_switch_is_set_when_vesalius_is_imported_unless_it_was() -> None:
    switches = {name: value for one in SWITCHES.values() for name, value in one.items()}
    program = "import vesalius, os\nprint(*(os.environ[n] for n in {names}), sep='\\n')"
    command = [sys.executable, "-c", program.format(names=list(switches))]
    bare = {name: value for name, value in os.environ.items() if name not in switches}
    chosen = bare | {"RAY_USAGE_STATS_ENABLED": "1"}
    for environment, wanted in ((bare, switches), (chosen, switches | chosen)):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [wanted[name] for name in switches]
