"""Concepts of a run's data: what each is called, and how often the training split has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vesalius.cases.dialogue import Dialogue
from vesalius.data.caption_concepts import OPTION
from vesalius.data.reading.mapping import ConceptName, mapping_names
from vesalius.language.dictionary import OWN, finding_dictionary
from vesalius.recipe import Data
from vesalius.run import ConceptFacts, Run
from vesalius.steps.mix import opened
from vesalius.steps.prepare import cases


def note_concepts(run: Run, train: Sequence[Dialogue]) -> None:
    """Write ``concepts.json`` where the run's data have concepts or a table of their names."""
    counts = Counter(
        concept
        for dialogue in train
        for answer in dialogue.question.answers[:1]
        for concept in set(answer.concepts or ())
    )
    names = concept_names(run.recipe().data)
    if counts or names:
        known = finding_dictionary(OWN).entries
        facts = {}
        for concept in sorted(names.keys() | counts.keys()):
            own = known.get(concept)
            fallback = ConceptName(concept) if own is None else ConceptName(own.name, own.kind)
            named = names.get(concept, fallback)
            kind = named.kind or fallback.kind
            facts[concept] = ConceptFacts(named.name, kind, counts[concept])
        run.note_concepts(facts)


def concept_names(data: Data) -> dict[str, ConceptName]:
    """Names and types from the data set's own mapping, or the dictionary that reads its captions.

    Empty where it has neither.
    """
    dictionary = data.options.get(OPTION)
    if dictionary is not None:
        entries = finding_dictionary(str(dictionary)).entries
        return {concept: ConceptName(one.name, one.kind) for concept, one in entries.items()}
    mapping = getattr(opened(data), "mapping", None)
    return {} if mapping is None else mapping_names(mapping)


def training_concepts(data: Data, train: Sequence[Dialogue]) -> dict[str, tuple[str, ...]]:
    """The concepts that the data set has for the cases of training dialogues, by case."""
    wanted = {dialogue.case for dialogue in train}
    return {
        case.id: case.concepts
        for case in cases(data, data.splits.train)
        if case.id in wanted and case.concepts is not None
    }
