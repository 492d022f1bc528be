"""Judges: from a run's folder, a recipe or a server's URL to a model that can judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vesalius.errors import ModelError, RunError
from vesalius.evaluation.judging.judgements import FOLDER
from vesalius.models import Model, Remote
from vesalius.models.build import build
from vesalius.models.capabilities import Conversational
from vesalius.recipe import Decoding, Recipe
from vesalius.run import Run
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.members import digest, member_runs
from vesalius.steps.systems import remarks_of
from vesalius.system.files import read_json

WEIGHTS = ("weights", "language", "model")
"""Settings that name the model which writes a run's answers."""


@dataclass(frozen=True, slots=True)
class Server:
    """How a judge behind a URL is asked: the settings of ``endpoint`` that go with one."""

    model: str | None = None
    key_env: str | None = None
    remote: bool = False


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that judges: ``facts`` identify it, ``bases`` are the weights that it rests on."""

    label: str
    model: Model
    facts: Mapping[str, Any]
    bases: frozenset[str]
    decoding: Decoding
    run: Run | None = None
    sees: bool = True

    def kinship(self, judged: Run) -> str | None:
        """Why it is partial to a run's answers; None where nothing says so."""
        if self.run is not None and self.run.path.resolve() == judged.path.resolve():
            return "is the model that it judges"
        if self.run is not None and self.run.recipe().digest() == judged.recipe().digest():
            return "is of the recipe of the run that it judges"
        shared = sorted(self.bases & {*bases(judged), judged.recipe().name})
        return f"rests on {', '.join(shared)}, as the model that it judges does" if shared else None


def judge_of(by: str, run: Run, server: Server, *, pictures: bool = True) -> Judge:
    """The judge that ``by`` names: a run's folder, a recipe (fitted beside the run's judgements)
    or an OpenAI-compatible URL, under the rules of ``endpoint``.

    ``pictures``: whether it may see them. RunError where ``by`` is none of these; RecipeError for a
    URL that ``endpoint`` refuses; ModelError for a judge that answers from pictures alone and may
    see none; Unavailable for a server that is away.
    """
    if "://" in by:
        return _server(by, server, pictures=pictures)
    if server != Server():
        hint = "a recipe of endpoint has them, too"
        raise RunError("--model, --key-env and --remote go with a URL", where=by, hint=hint)
    path = Path(by)
    if path.suffix in {".yaml", ".yml"}:
        recipe = Recipe.read(path)
        judging = fit(recipe, run.path / FOLDER / recipe.name)
    elif path.is_dir():
        judging = Run.open(path)
    else:
        raise RunError("is no run's folder, recipe (.yaml) or URL", where=by)
    model = load(judging)
    if not pictures and model.needs_image:
        raise ModelError("this judge answers from pictures alone", hint="leave out --no-pictures")
    facts: dict[str, Any] = {"judge": judging.name, "kind": "run", "digest": digest(judging)}
    if isinstance(model, Remote):
        model.look()
        facts |= model.about()
    facts |= {"random_weights": "random weights" in remarks_of(judging)}
    decoding, learner = judging.recipe().decoding, build(judging.recipe().model)
    sees = pictures and _sees(learner, model)
    return Judge(judging.name, model, facts, bases(judging), decoding, judging, sees)


def _server(url: str, server: Server, *, pictures: bool) -> Judge:
    block = {
        "name": "endpoint",
        "base_url": url,
        "model": server.model,
        "key_env": server.key_env,
        "remote": server.remote,
        "pictures": "optional" if pictures else "none",
    }
    learner: Any = build(block, where="--by")
    model = learner.model(server.model)
    model.look()
    about = model.about()
    facts: dict[str, Any] = {
        "judge": about["model"],
        "kind": "server",
        "host": urlsplit(url).netloc,
    } | about
    facts |= {"random_weights": False}
    decoding = Decoding(batch=4 * model.concurrency)
    return Judge(
        about["model"], model, facts, frozenset({about["model"]}), decoding, None, pictures
    )


def bases(run: Run) -> frozenset[str]:
    """The weights that write a run's answers, its members', too, by name; none of random ones."""
    learner: Any = build(run.recipe().model)  # its settings have what a preset stands for
    drawn = run.status().get("weights") == "random"
    names = set() if drawn else set(_named(learner.settings.model_dump()))
    endpoint = run.weights / "endpoint.json"
    if endpoint.exists():
        names.add(str(read_json(endpoint).get("model")))
    for member in member_runs(run).values():
        names |= bases(member)
    return frozenset(names)


def _named(block: Mapping[str, Any]) -> Iterator[str]:
    for key, value in block.items():
        if isinstance(value, Mapping) and key != "roles":  # which parts train, not what they are
            yield from _named(value)
        elif key in WEIGHTS and isinstance(value, str):
            yield value


def _sees(learner: Any, model: Any) -> bool:
    """Whether a model looks at pictures, as far as it or its learner says."""
    for one in (model, learner):
        if isinstance(one, Conversational):
            return one.takes_pictures != "none"
    return bool(model.needs_image)
