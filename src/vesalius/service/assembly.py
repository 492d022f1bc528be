"""From settings to the parts of a service: which engine, which store, what a run brings along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vesalius.cases.tasks import task_of
from vesalius.errors import RecipeError
from vesalius.evaluation.rated_systems import REFERENCES
from vesalius.models.weight_files import require_weights
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.service.chat.intake import MIB, Intake
from vesalius.service.chat.review import Review
from vesalius.service.container import Service
from vesalius.service.engine import Engine
from vesalius.service.engine.in_process import InProcessEngine
from vesalius.service.engine.model_host import ModelHost, computes, load_host
from vesalius.service.http.access import Access
from vesalius.service.settings import Settings
from vesalius.service.storage import open_store
from vesalius.service.telemetry import Metrics, Traces
from vesalius.steps.calibrate import Calibration


def assemble(settings: Settings) -> Service:
    """The parts of a service as settings name them; nothing is started, loaded or listening."""
    settings.require_durable_state()
    store = open_store(settings)
    recipe = None if settings.run is None else _fitted(settings.run)
    return Service(
        settings=settings,
        store=store,
        engine=engine_of(settings),
        metrics=Metrics(),
        access=Access(settings, store),
        intake=Intake(settings),
        run=settings.run,
        instruction="Describe this image." if recipe is None else recipe.data.instruction,
        history=_with_history(settings, recipe),
        traces=None if settings.otlp_endpoint is None else Traces(settings.otlp_endpoint),
        index=None if settings.run is None else _thumbnails(settings.run),
        review=_review(settings),
        calibration=None if settings.run is None else Calibration.of(Run.open(settings.run)),
    )


def engine_of(settings: Settings) -> Engine:
    """What hosts the model: a process of its own, or this one where nothing is computed here."""
    host = _in_process(settings)
    if host is not None:
        # A server takes single questions side by side; a replay, batches as a model would.
        parallel = getattr(host.model, "concurrency", 1)
        return InProcessEngine(
            host,
            batch=1 if parallel > 1 else settings.batch,
            parallel=parallel,
            wait=settings.batch_wait,
            queue=settings.queue,
        )
    source = settings.run or settings.model
    if source is None:
        raise RecipeError(
            "nothing to serve",
            where="vesalius serve",
            hint="name a --run (vesalius fit makes one), a --model or an --endpoint",
        )
    if settings.run is None:
        require_weights(source)
    from vesalius.service.engine.local import LocalEngine

    return LocalEngine(
        source,
        wait=settings.batch_wait,
        cache_bytes=settings.cache_mib * MIB,
        queue=settings.queue,
        batch=settings.batch,
    )


def _in_process(settings: Settings) -> ModelHost | None:
    """The model that settings name, if it computes nothing here."""
    if settings.replay is not None:
        from vesalius.service.engine.rehearsal import rehearsal_host

        return rehearsal_host(settings.replay, seconds=settings.replay_seconds)
    if settings.endpoint is not None:
        from vesalius.service.engine.endpoint import endpoint_host

        key = settings.endpoint_key
        return endpoint_host(
            settings.endpoint,
            settings.endpoint_model,
            key=None if key is None else key.get_secret_value(),
            concurrency=settings.batch,
        )
    if settings.run is not None and not computes(Run.open(settings.run)):
        return load_host(str(settings.run))
    return None


def _fitted(folder: Path) -> Recipe:
    run = Run.open(folder)
    run.require_fitted()
    return run.recipe()


def _review(settings: Settings) -> Review | None:
    if settings.run is None or not settings.review:
        return None
    others = [Path(name) for name in settings.review_with if name != REFERENCES]
    runs = [Run.open(path) for path in (settings.run, *others)]
    return Review(runs, settings.review, references=REFERENCES in settings.review_with)


def _with_history(settings: Settings, recipe: Recipe | None) -> bool:
    """Whether a question is asked after those before it: as the run was fitted."""
    if settings.history != "auto":
        return settings.history == "own"
    return recipe is None or task_of(recipe.data.task).has_turns


def _thumbnails(folder: Path) -> Callable[[str], bytes | None] | None:
    """Small pictures of the run's index, where it has some."""
    if not (folder / "index").is_dir():
        return None
    from vesalius.combine.retrieval.retrieve import Retriever

    retriever = Retriever.load(Run.open(folder))
    return None if retriever is None else retriever.thumbnail
