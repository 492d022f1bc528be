"""Parity: the same items through a run and through the server of its weights, before it is trusted.

Servers have served a base under an adapter's name without a word: what they list proves nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError, RunError
from vesalius.evaluation.engine_parity import FILE, Bounds, Parity, Tokens, parity
from vesalius.models.build import build
from vesalius.models.capabilities import Pictures
from vesalius.models.codecs import Replies
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.steps.prepare import dialogues
from vesalius.system.files import read_json, write_json
from vesalius.training.memory import release

if TYPE_CHECKING:  # its client is of the extra `endpoint`, and who asks no server needs none
    from vesalius.models.endpoint import EndpointSettings

ITEMS = 32
FRESH = timedelta(days=1)
"""How long a proof holds for the same server, model and weights: servers are started anew."""


class Tokenising(Protocol):
    """A model that writes, and tells its tokens."""

    @property
    def takes_pictures(self) -> Pictures:
        """Whether pictures must, may or cannot come with a question."""

    def tokens(self, text: str) -> Sequence[int]:
        """The ids of a text's tokens."""

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue, in order."""


@runtime_checkable
class Servable(Protocol):
    """A learner whose fitted weights another engine can serve."""

    def load(self, run: Run) -> Tokenising:
        """The fitted model."""

    def bare(self, run: Run) -> Tokenising | None:
        """Its base without the adapter; None if it was trained in full."""

    def replies(self, run: Run) -> Replies:
        """What its replies hold."""


def prove(
    run: Run,
    settings: EndpointSettings,
    *,
    base: str | None = None,
    items: int = ITEMS,
    split: str | None = None,
    bounds: Bounds | None = None,
) -> Parity:
    """Ask a run and the server of its weights the same items, and note in the run what came of it.

    Both answer greedily. ``base``: the base's name on the server, by default the adapter's parent
    as it is listed. ModelError or Unavailable where the server has no such model, or is away; then
    nothing is noted.
    """
    run.require_fitted()
    learner: Any = build(run.recipe().model)
    if not isinstance(learner, Servable):
        name = run.recipe().model["name"]
        raise ModelError(f"{name} has no weights that another engine serves", where=run.path)
    server = _Server.of(run, learner, settings, base)
    recipe = run.recipe()
    chosen = split or recipe.data.splits.test
    questions = list(islice(dialogues(recipe.data, chosen), items))
    if not questions:
        raise RunError(f"has no items in its split {chosen!r}", where=run.path)
    decoding = recipe.decoding.model_copy(update={"temperature": 0.0, "min_p": None, "beams": 1})
    served = server.answers(server.model, questions, decoding)
    # What only transformers can tell comes last: it takes longest.
    served_bare = None if server.base is None else server.answers(server.base, questions, decoding)
    own, tokens, bare = _of_run(run, learner, questions, decoding)
    result = parity(
        own,
        served,
        tokens,
        bare=bare,
        served_bare=served_bare,
        metrics=recipe.evaluation.metrics,
        bounds=bounds,
    )
    facts = {"server": server.settings.base_url, "model": server.model, "base": server.base}
    now = datetime.now(UTC).isoformat()
    stamp = {"split": chosen, "weights": _weights(run), "at": now, "wanted": items}
    write_json(run.path / FILE, facts | stamp | result.to_json())
    return result


def gate(run: Run) -> None:
    """Before a run asks a server that ``serves`` another run's weights: prove that it does.

    A proof of the last day stands, unless it was made with fewer items or looser bounds than ours.
    ModelError, in one line, where the server is not that run.
    """
    settings: Any = getattr(build(run.recipe().model), "settings", None)
    if getattr(settings, "serves", None) is None:  # an endpoint's alone have it
        return
    proven = Run.open(settings.serves)
    if not _stands(proven, settings):
        prove(proven, settings)
    result = read_json(proven.path / FILE)
    if not result["passed"]:
        hint = f"vesalius parity {proven.path} --server {settings.base_url}"
        what = f"does not answer as {proven.name} ({settings.model}): {result['verdict']}"
        raise ModelError(what, where=settings.base_url, hint=hint)


def _stands(run: Run, settings: EndpointSettings) -> bool:
    """Whether the run notes a pass of this server and model with these weights, not long ago."""
    if not (run.path / FILE).exists():
        return False
    noted = read_json(run.path / FILE)
    here = (settings.base_url, settings.model, _weights(run), True)
    there = tuple(noted[key] for key in ("server", "model", "weights", "passed"))
    strict = noted.get("wanted", 0) >= ITEMS and Bounds(**noted["bounds"]).within(Bounds())
    recent = datetime.now(UTC) - datetime.fromisoformat(noted["at"]) < FRESH
    return here == there and strict and recent


def _of_run(
    run: Run, learner: Servable, questions: Sequence[Dialogue], decoding: Decoding
) -> tuple[list[Prediction], Tokens, list[Prediction] | None]:
    """The run's answers, its tokenizer, and its base's answers; one model in memory at a time."""
    release()
    model = learner.load(run)
    own, tokens = model.predict(questions, decoding), model.tokens
    base = learner.bare(run)
    return own, tokens, None if base is None else base.predict(questions, decoding)


@dataclass(frozen=True, slots=True)
class _Server:
    """A server, and the names under which it has the run's model and its base."""

    settings: EndpointSettings
    replies: Replies
    model: str
    base: str | None

    @classmethod
    def of(
        cls, run: Run, learner: Servable, settings: EndpointSettings, base: str | None
    ) -> _Server:
        """What the server lists; ModelError where a name is not among it, or none can be chosen."""
        replies = learner.replies(run)
        if replies.content == "boxes" and replies.convention.scale is None:
            what = "writes boxes in pixels of a picture that a server resizes in its own way"
            raise ModelError(what, where=run.path, hint="fit with model.boxes of a scale")
        from vesalius.models.endpoint import Endpoint

        remote = Endpoint(settings).model(settings.model)
        try:
            remote.look()
            listed = remote.listed
        finally:
            remote.close()
        model = settings.model or _only(listed, settings.base_url)
        parent = listed[model].get("parent")
        return cls(settings, replies, model, base or (parent if parent in listed else None))

    def answers(
        self, name: str, questions: Sequence[Dialogue], decoding: Decoding
    ) -> list[Prediction]:
        """What the server answers under a name; a wrong one in its replies is refused."""
        from vesalius.models.endpoint import Endpoint
        from vesalius.models.remote.model import RemoteModel

        address = replace(Endpoint(self.settings).model(name).server, answers=self.replies)
        remote = RemoteModel(address, needs_image=any(one.pictures for one in questions))
        try:
            answers = remote.predict(questions, decoding)
            if others := remote.answered_as - {name}:
                what = f"answers for {name} as another model: {', '.join(sorted(others))}"
                raise ModelError(what, where=self.settings.base_url)
            return answers
        finally:
            remote.close()


def _only(listed: Mapping[str, Mapping[str, Any]], where: str) -> str:
    """The server's one adapter, else its one model."""
    adapters = [name for name, facts in listed.items() if facts.get("parent")]
    names = adapters or list(listed)
    if len(names) > 1:
        what = f"the model's server has several: {', '.join(sorted(names))}"
        raise ModelError(what, where=where, hint="--model NAME")
    return names[0]


def _weights(run: Run) -> str:
    """What tells one fit from another: the hash of its manifest."""
    return hashlib.sha256((run.weights / "manifest.json").read_bytes()).hexdigest()
