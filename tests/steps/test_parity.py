"""Engine parity: a server of a run's weights beside the run, and faults that servers have had."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vesalius import Recipe, Run
from vesalius.cli.main import app
from vesalius.errors import ModelError, RecipeError, Unavailable
from vesalius.evaluation.engine_parity import FILE, Bounds, Parity
from vesalius.models.endpoint import EndpointSettings
from vesalius.settings import validated
from vesalius.steps.fit import fit
from vesalius.steps.parity import ITEMS, prove
from vesalius.steps.predict import predict
from vesalius.steps.report import report
from vllm_server import ADAPTER, BASE, Vllm

DATA = {
    "dataset": "phantom",
    "options": {"cases": {"train": 8, "validation": 2, "test": 6}, "size": 48},
    "leaks": "allow",
}
Start = Callable[..., Vllm]


def recipe(**model: Any) -> Recipe:
    training = {"max_steps": 40, "batch": 4, "learning_rate": 1e-2}
    return Recipe.model_validate(
        {
            "name": "small",
            "data": DATA,
            "model": {"name": "generative", "family": "llava", "tiny": True, "training": training}
            | model,
            "decoding": {"max_new_tokens": 6},
            "evaluation": {"resamples": 50},
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(recipe(), tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture
def start(run: Run) -> Iterator[Start]:
    servers: list[Vllm] = []

    def started(fault: str = "") -> Vllm:
        servers.append(Vllm(run, fault))
        return servers[-1]

    yield started
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def unproven(run: Run) -> None:
    (run.path / FILE).unlink(missing_ok=True)


def proof(run: Run, server: Vllm, **how: Any) -> Parity:
    return prove(run, EndpointSettings(base_url=server.url), items=12, **how)


def test_a_server_of_the_run_passes_and_the_run_notes_it(run: Run, start: Start) -> None:
    server = start()
    result = proof(run, server)
    assert result.faults == ()
    assert (result.items, result.equal, result.leading_tokens) == (12, 12, 1.0)
    assert (result.prompts, result.logprob < 0.01) == (12, True)
    assert result.score is not None
    assert result.score.difference == 0
    effect = result.effect
    assert effect is not None
    assert effect.moved == effect.moved_there == 12
    assert effect.with_adapter == effect.differing > 0 == effect.without_adapter
    row = json.loads((run.path / FILE).read_text())
    assert (row["model"], row["base"], row["server"]) == (ADAPTER, BASE, server.url)
    assert row["passed"] is True


def test_an_ignored_adapter_is_caught(run: Run, start: Start) -> None:
    result = proof(run, start("ignored"))
    assert result.effect is not None
    assert result.effect.moved_there == 0
    assert result.effect.without_adapter == result.effect.differing > 0
    assert "the adapter is ignored" in result.verdict


def test_what_counts_as_ignored_where_no_answers_differ_or_no_base_is_there(
    run: Run, start: Start
) -> None:
    effect = proof(run, start("ignored")).effect
    assert effect is not None
    assert replace(effect, differing=0, with_adapter=0, without_adapter=0).ignored
    assert replace(effect, moved_there=None).ignored  # merged weights: no base is there to ask
    assert not replace(effect, moved=0, differing=0, without_adapter=0).ignored


def test_another_template_is_caught(run: Run, start: Start) -> None:
    result = proof(run, start("template"))
    assert result.effect is not None
    assert not result.effect.ignored
    assert result.prompts == 0
    assert "0 of 12 prompts have as many tokens: another chat template" in result.verdict


def test_a_server_that_says_another_model_answered_is_refused(run: Run, start: Start) -> None:
    with pytest.raises(ModelError, match="answers for adapted as another model: someone-else"):
        proof(run, start("alias"))
    assert not (run.path / FILE).exists()


@pytest.mark.parametrize("fault", ["no logprobs", "nan"])
def test_without_log_probabilities_they_are_not_measured(
    fault: str, run: Run, start: Start
) -> None:
    result = proof(run, start(fault))
    assert result.equal == 12
    assert "not measured" in result.facts()["log-probabilities differ"]
    assert json.loads((run.path / FILE).read_text())["logprob"] is None


def test_prose_a_server_that_is_down_and_a_name_that_it_lacks_are_one_line(
    run: Run, start: Start
) -> None:
    with pytest.raises(Unavailable, match="the model's server failed"):
        proof(run, start("prose"))
    gone = start()
    gone.close()
    with pytest.raises(Unavailable, match="is not there"):
        proof(run, gone)
    server = start("several")
    with pytest.raises(ModelError, match="has several: adapted, second"):
        proof(run, server)
    with pytest.raises(ModelError, match="has no nothing; it has adapted, base, second"):
        prove(run, EndpointSettings(base_url=server.url, model="nothing"), items=2)
    named = EndpointSettings(base_url=server.url, model=ADAPTER)
    with pytest.raises(ModelError, match="has no nothing"):
        prove(run, named, base="nothing", items=2)
    assert not (run.path / FILE).exists()


def test_without_a_base_answers_alone_tell(run: Run, start: Start) -> None:
    result = proof(run, start("no base"))
    assert result.effect is not None
    assert result.effect.moved_there is None
    assert not result.faults


def test_bounds_are_the_callers(run: Run, start: Start) -> None:
    server = start("template")
    assert not proof(run, server, bounds=Bounds(agreement=0.0, logprob=100.0)).faults
    assert "nats, above 0" in proof(run, server, bounds=Bounds(logprob=0.0)).verdict


def test_a_model_without_weights_is_refused(tmp_path: Path, start: Start) -> None:
    table = fit(recipe().model_copy(update={"model": {"name": "majority"}}), tmp_path / "table")
    with pytest.raises(ModelError, match="majority has no weights that another engine serves"):
        proof(table, start())


def test_the_command_has_a_verdict_and_an_exit_code(run: Run, start: Start) -> None:
    runner = CliRunner()
    command = ["parity", str(run.path), "--items", "4", "--server"]
    good = runner.invoke(app, [*command, start().url])
    assert (good.exit_code, "the server answers as the run does" in good.output) == (0, True)
    bad = runner.invoke(app, [*command, start("ignored").url])
    assert bad.exit_code == 1
    assert "not the run: the adapter is ignored" in bad.output


def test_a_prediction_through_a_server_of_a_run_waits_for_its_proof(
    run: Run, start: Start, tmp_path: Path
) -> None:
    def far(server: Vllm, name: str) -> Run:
        block = {"name": "endpoint", "base_url": server.url, "model": ADAPTER}
        block["serves"] = str(run.path)
        return fit(recipe().model_copy(update={"model": block}), tmp_path / name)

    server = start("ignored")
    bad = far(server, "bad")
    with pytest.raises(ModelError, match=r"does not answer as small \(adapted\): not the run"):
        predict(bad)
    assert not bad.predictions_file().exists()
    server = start()
    good = far(server, "good")
    assert predict(good) > 0
    before = server.seen
    predict(good)  # the proof stands, and all is answered
    assert server.seen == before
    with pytest.raises(RecipeError, match="say in model what the server calls it"):
        validated(EndpointSettings, {"base_url": server.url, "serves": "x"}, where="recipe")


@pytest.mark.parametrize("how", [{"items": 4}, {"bounds": Bounds(agreement=0.0, logprob=100.0)}])
def test_a_proof_on_fewer_items_or_with_looser_bounds_is_none_for_the_gate(
    run: Run, start: Start, tmp_path: Path, how: dict[str, Any]
) -> None:
    server = start("template" if "bounds" in how else "")
    settings = {"base_url": server.url, "model": ADAPTER}
    assert not prove(run, EndpointSettings(**settings), **how).faults
    block = {"name": "endpoint", "serves": str(run.path), **settings}
    far = fit(recipe().model_copy(update={"model": block}), tmp_path / "far")
    before = server.seen
    if "bounds" in how:
        with pytest.raises(ModelError, match="does not answer as small"):
            predict(far)
    else:
        answers = predict(far)
        items = min(ITEMS, answers)
        assert server.seen - before == answers + 2 * items  # the base, too


def test_an_answer_that_is_cut_short_is_caught(run: Run, start: Start) -> None:
    result = proof(run, start("cut"))
    assert result.agreement < 0.5
    assert "answers equal, below 90%" in result.verdict


def test_report_and_card_carry_the_result(run: Run, start: Start, tmp_path: Path) -> None:
    from vesalius.steps.export_card import model_card

    proof(run, start())
    predict(run)
    assert "the server answers as the run does" in report(run, out=tmp_path / "r.html").read_text()
    assert "the server answers as the run does; 12 of 12" in model_card(run, "", merged=True)
