"""What training rows must be, looked at before any long work."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.tasks import Content
from vesalius.errors import ModelError
from vesalius.models.codecs import answer_codec, require_answers, written
from vesalius.models.generative.network import Network
from vesalius.models.generative.rows.rows import require_room
from vesalius.models.generative.text.families import Family


def check_prompts(dialogues: Sequence[Dialogue], network: Network, *, sample: int = 32) -> None:
    """Each training row begins with exactly the tokens that serving would send.

    ModelError names the first dialogue where the reply's tokens melt into the prompt's, or whose
    reply the model does not write.
    """
    encoder = network.encoder
    require_answers(dialogues, network.codec)
    for dialogue in islice(dialogues, sample):
        closed = encoder.segment(encoder.template.render(dialogue.closed()), dialogue.id)
        opened = encoder.segment(encoder.template.render(dialogue.replying(None)), dialogue.id)
        start = len(opened.ids)
        if closed.ids[:start] != opened.ids or closed.labels[start:] != closed.ids[start:]:
            raise ModelError(
                "the training row is not prompt + reply, token for token", where=dialogue.id
            )


def check_lengths(dialogues: Sequence[Dialogue], network: Network) -> None:
    """Each dialogue fits into a row behind the first one's picture: nothing fails in mid-epoch.

    ModelError names the first that does not. Pictures that a family cuts into more tiles than the
    first are found when they come up.
    """
    encoder = network.encoder
    head = encoder.template.render(dialogues[0]).head
    before = len(encoder.prefix(head, dialogues[0]).ids)
    for dialogue in dialogues:
        tail = encoder.segment(encoder.template.render(dialogue.closed()), dialogue.id)
        require_room(before + len(tail.ids), network.max_length, dialogue.id)


def as_written(train: Sequence[Dialogue], answers: Content, family: Family) -> Sequence[Dialogue]:
    """The dialogues with the texts that a tokenizer of their own must write."""
    if answers == "text":
        return train
    codec = answer_codec(answers, family.boxes)
    require_answers(train, codec)
    return [written(dialogue.closed(), codec) for dialogue in train]
