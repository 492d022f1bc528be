"""What a fit would fail at, found before any weights are read: rows, lengths, adapters."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from transformers import PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError
from vesalius.models.codecs import require_answers
from vesalius.models.generative.blueprint import Blueprint
from vesalius.models.generative.network import Network
from vesalius.models.generative.rows.encoder import Encoder
from vesalius.models.generative.rows.rows import Segment
from vesalius.models.generative.rows.sharing import require_room
from vesalius.models.generative.rows.tokens import marked
from vesalius.models.generative.text.template import Rendered
from vesalius.models.generative.weights.lineage import find_start, outline_of
from vesalius.models.guard import require_pictures
from vesalius.training.parts import prepare

SAMPLE = 32
"""Dialogues whose prompts are compared token by token, beside the first of each head."""


def rehearse(stages: Sequence[tuple[Blueprint, Sequence[Dialogue]]]) -> None:
    """Refuse what any stage would fail at; all go on from what the first one starts from.

    On the outline of the untrained model, with its processor: rows, lengths, and where adapters
    land. ModelError or RecipeError as the stage itself would say it.
    """
    first, train = stages[0]
    model, processor = outline(first, train)
    for blueprint, dialogues in stages:
        if blueprint.needs_image:
            require_pictures(dialogues)
        settings, answers = blueprint.settings, blueprint.answers(dialogues)
        network = blueprint.network(deepcopy(model), processor, answers)
        check_rows(dialogues, network)
        row = network.family
        prepare(network.model, row.parts, settings.roles, settings.adapter, row.targets)


def outline(blueprint: Blueprint, train: Sequence[Dialogue]) -> tuple[PreTrainedModel, Any]:
    """The model that a fit starts from on the meta device, and its processor."""
    require_data(blueprint, train)
    start = find_start(blueprint, None)
    if start is not None:
        return outline_of(start)
    return blueprint.origin.outline(blueprint.written(train, blueprint.answers(train)))


def require_data(blueprint: Blueprint, train: Sequence[Dialogue]) -> None:
    """ModelError if there is nothing to train on, or a dialogue lacks the picture it needs."""
    if not train:
        raise ModelError("there is nothing to fit on", hint="look at vesalius data show")
    if blueprint.needs_image:
        require_pictures(train)


def check_rows(dialogues: Sequence[Dialogue], network: Network, *, sample: int = SAMPLE) -> None:
    """Each training row is the prompt that serving would send, then the reply, and has room.

    The tokens of pictures are counted at the first dialogue that shows as many in the same turns:
    those that a family cuts into more tiles than that one's are found when they come up. ModelError
    names the first dialogue whose reply the model does not write, or whose reply's tokens melt into
    the prompt's, TooLong the first that does not fit into a row, Unshowable the first whose
    pictures the model cannot read where they are shown.
    """
    encoder = network.encoder
    require_answers(dialogues, network.codec)
    pictures: dict[str, int] = {}
    for number, dialogue in enumerate(dialogues):
        rendered = encoder.template.render(dialogue.closed())
        segment, words = encoder.segment(rendered, dialogue.id), encoder.words(rendered)
        skeleton = marked(rendered.front)
        new = skeleton not in pictures
        if new:
            pictures[skeleton] = len(encoder.prefix(rendered, dialogue).ids) - words
        if new or number < sample:
            _require_prompt_first(rendered, segment, dialogue, encoder)
        length = words + pictures[skeleton] + len(segment.ids)
        require_room(length, network.max_length, dialogue.id, network.family)


def _require_prompt_first(
    rendered: Rendered, closed: Segment, dialogue: Dialogue, encoder: Encoder
) -> None:
    prompt = encoder.template.render(dialogue.replying(None))
    opened = encoder.segment(prompt, dialogue.id)
    start = len(opened.ids)
    same = rendered.front == prompt.front and closed.ids[:start] == opened.ids
    if not same or closed.labels[start:] != closed.ids[start:]:
        what = "the training row is not prompt + reply, token for token"
        raise ModelError(what, where=dialogue.id)
