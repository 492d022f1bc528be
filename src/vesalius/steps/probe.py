"""Probe: a run asked again under changes of its pictures and words, and what that says of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.data.perturb import CHANGES, Change, change_of
from vesalius.data.perturb.translations import wordings
from vesalius.errors import RecipeError, RunError
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.evaluate import evaluate_run, predictions_sha256
from vesalius.evaluation.probe_results import Probes, probes_of, save_probes
from vesalius.evaluation.probes import Probe, unmeasured
from vesalius.evaluation.probes import probe as measured
from vesalius.evaluation.run_results import primary_score
from vesalius.models import Model
from vesalius.models.build import build
from vesalius.models.capabilities import Sighted
from vesalius.models.feature_cache import with_shared_features
from vesalius.models.guard import require_at_most
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.steps.answer_set import AnswerSet, Key
from vesalius.steps.load import load
from vesalius.steps.members import needs_image
from vesalius.steps.prepare import dialogues_by_change, unchangeable
from vesalius.steps.request import CHUNK, chunks, connect, in_pieces
from vesalius.system.pace import progress

LONGEST = 100
"""Characters of a folder's name."""
OWN = ""
"""The run's own answers among the sets: those to the questions as they are."""


@with_shared_features
def probe(
    run: Run,
    *,
    only: Iterable[str] = (),
    split: str | None = None,
    limit: int | None = None,
    model: Model | None = None,
) -> Probes:
    """Ask a run under every change that its data can have, measure, and write ``probes.json``.

    Each change is a set of predictions of its name beside the run's own (which are completed where
    they lack any), the same that ``predict`` makes of it: what is there already is not asked again.
    All changes of a case are asked together, so that those that leave its picture as it is share
    its prefix. ``only`` names the changes, by default all; ``split`` is by default the test split,
    another one's answers are sets that begin with its name; ``limit``: the first so many questions.
    What ``probes.json`` has of other changes is kept, where it is of the same answers.

    UnknownName for a change that does not exist; RecipeError for one of ``only`` that the data or
    the model cannot have (the others are reported as not measured, with the reason).
    """
    suite, rows, reasons = _suite(run, only, split, limit)
    suite.ask([row for row in rows if row.name not in reasons], model)
    probes = suite.measure(rows, reasons)
    save_probes(run, probes)
    return probes


def _suite(
    run: Run, only: Iterable[str], split: str | None, limit: int | None
) -> tuple[_Suite, list[Change], dict[str, str]]:
    """The suite, the changes that are wanted, and why some of them cannot be asked about."""
    recipe = run.recipe()
    names = list(dict.fromkeys(only))
    rows = [change_of(name) for name in names] or list(CHANGES.values())
    chosen = split or recipe.data.splits.test or ""
    suite = _Suite(run, recipe, chosen, "" if chosen == recipe.data.splits.test else chosen, limit)
    reasons = suite.reasons(rows)
    for name in names:
        if name in reasons:
            raise RecipeError(f"cannot be asked under {name}: {reasons[name]}", where=run.path)
    return suite, rows, reasons


@dataclass(frozen=True, slots=True)
class ProbeQuestions:
    """The questions of a suite under all its changes: what its workers share.

    When their shards are joined, :func:`probe` finds every answer there, and measures.
    """

    suite: _Suite
    rows: tuple[Change, ...]
    work: str
    """What is done: with which changes, and of which split."""

    @classmethod
    def of(
        cls,
        run: Run,
        *,
        only: Iterable[str] = (),
        split: str | None = None,
        limit: int | None = None,
    ) -> ProbeQuestions:
        """As :func:`probe`; RunError where the run's own answers are not all there."""
        names = list(dict.fromkeys(only))
        suite, rows, reasons = _suite(run, names, split, limit)
        own = run.predicted(suite.base)
        if any(one.id not in own for _, one in suite.questions(())):
            what = f"its own answers to {suite.split} are not all there, which changes are held to"
            raise RunError(what, where=run.path, hint="vesalius predict, with --worker or alone")
        work = "-".join(part for part in ("probe", suite.base, *names) if part)[:LONGEST]
        return cls(suite, tuple(row for row in rows if row.name not in reasons), work)

    @property
    def run(self) -> Run:
        """Whose answers they are."""
        return self.suite.run

    @property
    def unit(self) -> int:
        """Dialogues that are handed to the model together."""
        return CHUNK * self.suite.recipe.decoding.batch

    def sets(self) -> dict[str, dict[str, str | None]]:
        """A set of answers for each change."""
        return {self.suite.set_of(row.name): self.suite.facts(row.name) for row in self.rows}

    def items(self) -> Iterator[tuple[str, Dialogue]]:
        """The dialogues under each change, by its name."""
        return (item for item in self.suite.questions(self.rows) if item[0] != OWN)

    def keys(self, some: Sequence[tuple[str, Dialogue]]) -> list[Key]:
        """The answers to a unit of them."""
        return [Key(self.suite.set_of(name), one.id) for name, one in some]

    def connect(self, model: Model) -> None:
        """See that the model can be asked."""
        self.suite.require_pictures()
        connect(model, lambda: len({p.key for _, one in self.items() for p in one.pictures}))

    def answers(
        self, model: Model, some: Sequence[tuple[str, Dialogue]]
    ) -> Iterator[list[tuple[str, Prediction]]]:
        """The answers to some whole units, as they come."""
        for chunk in chunks(iter(some), self.unit):
            for name, rows in _answers(model, chunk, self.suite.recipe):
                yield [(self.suite.set_of(name), row) for row in rows]


@dataclass(frozen=True, slots=True)
class _Suite:
    """The changes of one split of a run; ``base`` is the name of the set of its own answers."""

    run: Run
    recipe: Recipe
    split: str
    base: str
    limit: int | None

    def set_of(self, change: str) -> str:
        """What the answers under a change are called."""
        return "-".join(part for part in (self.base, change) if part)

    def questions(self, rows: Sequence[Change]) -> Iterator[tuple[str, Dialogue]]:
        """The split's dialogues as they are and under each change, those of a case together."""
        there = wordings(self.run.path)
        return dialogues_by_change(self.recipe.data, self.split, rows, self.limit, there)

    def reasons(self, rows: Sequence[Change]) -> dict[str, str]:
        """Why a change cannot be asked about, of those that cannot."""
        blind = not needs_image(self.run)
        reasons = {row.name: unchangeable(row, self.recipe.data) for row in rows}
        for name, dialogue in self.questions(rows):
            if name in reasons and (blind or dialogue.pictures):
                del reasons[name]
            elif name in reasons:
                reasons[name] = "the model answers from a picture alone"
            if not reasons:
                break
        return reasons

    def require_pictures(self) -> None:
        """ModelError for a question about more pictures than the model looks at."""
        learner = build(self.recipe.model)
        if isinstance(learner, Sighted):
            own = (dialogue for _, dialogue in self.questions(()))
            require_at_most(learner.most_pictures, own)

    def ask(self, rows: Sequence[Change], model: Model | None) -> None:
        """Answer what is not answered yet, of all changes at once."""
        sets = {
            name: AnswerSet(self.run, self.set_of(name), self.facts(name))
            for name in (OWN, *(row.name for row in rows))
        }
        self.require_pictures()
        for answers in sets.values():
            answers.begin()
        todo = ((name, one) for name, one in self.questions(rows) if sets[name].lacks(one))
        answered = sum(len(one.answers) for one in sets.values())
        with progress(f"probing {self.run.name}") as bar:
            task = bar.add_task("", done=answered)
            for chunk in chunks(todo, CHUNK * self.recipe.decoding.batch):
                if model is None:
                    model = load(self.run)
                    connect(model, partial(self._pictures, rows, sets))
                for name, predictions in _answers(model, chunk, self.recipe):
                    sets[name].append(predictions)
                    answered += len(predictions)
                    bar.update(task, done=answered)
        for answers in sets.values():
            answers.finish()

    def measure(self, rows: Sequence[Change], reasons: Mapping[str, str]) -> Probes:
        """The score of the recipe's first metric before and after each change."""
        spec, score = primary_score(self.run, evaluate_run(self.run, self.base))
        how = self.recipe.evaluation
        draws = Draws(how.resamples, how.level, how.seed)
        own = list(self.run.predictions(self.base))
        probes = Probes(
            metric=score.metric,
            protocol=score.protocol,
            split=self.split,
            rows=(),
            predictions=self.base,
            predictions_sha256=predictions_sha256(self.run, self.base),
            resamples=draws.resamples,
            level=draws.level,
            seed=draws.seed,
        )
        results = {row.name: row for row in self._standing(probes)}
        for row in rows:
            name = self.set_of(row.name)
            if row.name in reasons:
                results[row.name] = unmeasured(row, reasons[row.name])
                continue
            after = list(self.run.predictions(name))
            result = measured(row, own, after, spec=spec, metric=score.metric, draws=draws)
            sha256 = predictions_sha256(self.run, name)
            results[row.name] = replace(result, predictions_sha256=sha256)
        ordered = tuple(results[name] for name in CHANGES if name in results)
        return replace(probes, rows=ordered, sets={r.name: self.set_of(r.name) for r in ordered})

    def _standing(self, probes: Probes) -> Sequence[Probe]:
        """What the run's file has of the same answers under the same settings."""
        there = probes_of(self.run, self.base)
        if there is None or replace(there, rows=(), sets={}) != probes:
            return ()
        return there.fresh(self.run).rows

    def facts(self, change: str) -> dict[str, str | None]:
        """What makes the answers under a change another set than others to the same questions."""
        return {"split": self.split, "change": change or None, "history": None}

    def _pictures(self, rows: Sequence[Change], sets: Mapping[str, AnswerSet]) -> int:
        """How many pictures the dialogues show that have no answer yet."""
        todo = (one for name, one in self.questions(rows) if one.id not in sets[name].answers)
        return len({picture.key for dialogue in todo for picture in dialogue.pictures})


def _answers(
    model: Model, chunk: Sequence[tuple[str, Dialogue]], recipe: Recipe
) -> Iterator[tuple[str, list[Prediction]]]:
    """The predictions as they come, by the set that each belongs to."""
    names = iter([name for name, _ in chunk])
    for rows in in_pieces(model, [dialogue for _, dialogue in chunk], recipe.decoding):
        by_set: defaultdict[str, list[Prediction]] = defaultdict(list)
        for row in rows:
            by_set[next(names)].append(row)
        yield from by_set.items()
