"""RadEval in another interpreter: a real process, a package of the test's own, failures."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vesalius.errors import RecipeError
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.metrics.clinical import Green, RadGraph
from vesalius.evaluation.metrics.interpreter import ask

# Shares of words: "simple" of the reference's, "partial" of the answer's, "complete" their mean.
SCORING = """
        rows = [(set(r.split()), set(h.split())) for r, h in zip(refs, hyps)]
        simple = [len(r & h) / len(r) for r, h in rows]
        partial = [len(r & h) / len(h) for r, h in rows]
        return {"radgraph_simple": simple, "radgraph_partial": partial,
                "radgraph_complete": [(a + b) / 2 for a, b in zip(simple, partial)]}
"""
PACKAGE = """
class RadEval:
    def __init__(self, do_radgraph=False, do_per_sample=False, show_progress=True):
        assert do_radgraph and do_per_sample and not show_progress

    def __call__(self, refs, hyps):
{body}
"""


@pytest.fixture(scope="session")
def environment(radeval):
    """environment(body) -> an interpreter of its own whose RadEval scores by that."""
    return lambda body=None: radeval(None if body is None else PACKAGE.format(body=body))


def _evaluated(prediction, python, **settings):
    rows = [
        prediction("a mass", "a large mass", name="x", modality="CT"),
        prediction("no mass here now", "no mass", name="y", modality="x-ray"),
        prediction("", "no mass", name="z"),
    ]
    return evaluate(rows, [{"radgraph": {"python": python, **settings}}], resamples=0, by=())


def test_scores_come_from_the_other_interpreter(environment, prediction):
    done = _evaluated(prediction, environment(SCORING))
    values = {score.metric: score.value for score in done.overall()}
    assert values["radgraph.simple"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert values["radgraph.partial"] == pytest.approx((1 + 2 / 4 + 0) / 3)
    (protocol,) = done.protocols.values()
    assert protocol["version"] == "0.1.8"
    assert not protocol["absent"]
    (counts,) = done.counts.values()
    assert counts == {"outside": 1}  # a CT, for which RadGraph was not made


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("        import os; os._exit(3)", "ended without a reply (exit 3)"),
        ("        return {'radgraph_simple': [1.0]}", "RadEval failed: KeyError"),
        (SCORING.replace("for r, h in rows]", "for r, h in rows[1:]]"), "1 scores of"),
        (SCORING.replace("len(r & h) / len(r)", "float('nan')"), "is no number"),
        ("        raise ValueError(refs[0])", "RadEval failed: ValueError"),
        ("        import time; time.sleep(60)", "did not answer in 2 s"),
        (
            "        import socket; socket.create_connection(('192.0.2.1', 80), 1)",
            "wanted the network",
        ),
    ],
)
def test_a_failure_is_not_measured_and_never_0(environment, prediction, body, reason):
    begun = time.monotonic()
    done = _evaluated(prediction, environment(body), timeout=2)
    assert not any(score.measured for score in done.overall())
    (protocol,) = done.protocols.values()
    assert reason in protocol["absent"]["radgraph.partial"]
    assert "large mass" not in str(done.to_json())
    assert time.monotonic() - begun < 30


def test_what_it_prints_is_no_answer_and_goes_nowhere(environment, prediction, capfd):
    noisy = "        print('prose', refs[0], flush=True)\n" + SCORING
    done = _evaluated(prediction, environment(noisy))
    assert done.score("radgraph.simple").measured
    assert "prose" not in "".join(capfd.readouterr())


def test_an_interpreter_or_package_that_is_absent_is_named(environment, prediction):
    none = _evaluated(prediction, "/nowhere/python").protocols
    bare = _evaluated(prediction, environment()).protocols
    assert "cannot be started" in str(none)
    assert "RadEval is not installed" in str(bare)
    assert "no interpreter" in RadGraph().protocol.absent["radgraph.simple"]


def test_another_hub_id_is_refused():
    with pytest.raises(RecipeError, match="GREEN-radllama2-7b"):
        _ = Green(python=sys.executable, hub="else/where").protocol


def test_no_key_reaches_it(environment, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    body = "        import os; return {'k': [float('OPENAI_API_KEY' in os.environ), "
    body += "float(os.environ['HF_HUB_OFFLINE'])]}"
    request = {
        "package": "RadEval",
        "flag": "do_radgraph",
        "keys": ["k"],
        "answers": ["a"],
        "references": ["a"],
    }
    assert ask(environment(body), request)["scores"] == {"k": [0.0, 1.0]}


def test_it_ends_with_the_process_that_asked(environment, tmp_path):
    mark = tmp_path / "pid"
    body = (
        f"        import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    script = (
        "from vesalius.evaluation.metrics.interpreter import ask\n"
        f"ask({environment(body)!r}, {{'package': 'RadEval', 'flag': 'do_radgraph', 'keys': [], "
        "'answers': ['a'], 'references': ['a']})"
    )
    asker = subprocess.Popen([sys.executable, "-c", script])
    _wait(lambda: mark.exists() and mark.read_text())
    asker.kill()
    asker.wait()
    _wait(lambda: not _alive(int(mark.read_text())))


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _wait(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
