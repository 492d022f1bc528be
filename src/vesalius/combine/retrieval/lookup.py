"""Neighbours of dialogues: of every picture that is asked about, the nearest cases first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Neighbour
from vesalius.combine.retrieval.retrieve import Retriever
from vesalius.errors import RunError
from vesalius.run import Run

AGAIN = "vesalius retrieve --build --run RUN makes it again"
LOOKED_UP = 512
"""Pictures whose neighbours are remembered: a conversation asks about one many times."""

Key = tuple[str, str]
"""A group and a picture's key: whose neighbours are remembered."""


class Lookup:
    """Looks up the cases near pictures, each picture once, and remembers them.

    ``others``: a training picture that comes back under another name, and its patient, are left
    out as well (see :meth:`Retriever.neighbours`).
    """

    def __init__(self, retriever: Retriever, *, others: bool = False) -> None:
        self.retriever, self._others = retriever, others
        self._known: OrderedDict[Key, tuple[Neighbour, ...]] = OrderedDict()

    def controlled(self, control: str) -> Lookup:
        """The same under a control of its neighbours, nothing remembered yet."""
        return Lookup(self.retriever.controlled(control), others=self._others)

    def neighbours(
        self, studies: Sequence[tuple[str, Sequence[Picture]]]
    ) -> list[tuple[Neighbour, ...]]:
        """For each (group, pictures) the cases nearest to any of its pictures, of other groups.

        As many as the retriever's settings say, each case once, the most similar first.
        """
        wanted = {(group, one.key): one for group, pictures in studies for one in pictures}
        new = {key: picture for key, picture in wanted.items() if key not in self._known}
        near = self.retriever.neighbours(
            list(new.values()),
            exclude_groups=[group for group, _ in new],
            exclude_keys=[key for _, key in new],
            others=self._others,
        )
        self._known.update(zip(new, near, strict=True))
        for key in list(self._known)[: max(0, len(self._known) - LOOKED_UP)]:
            if key not in wanted:
                del self._known[key]
        return [self._nearest(group, pictures) for group, pictures in studies]

    def forget(self, picture: str) -> None:
        """Give up what was looked up for a picture, by its key, in every view of it."""
        bare = picture.partition("#")[0]
        for key in [key for key in self._known if key[1].partition("#")[0] == bare]:
            del self._known[key]

    def _nearest(self, group: str, pictures: Sequence[Picture]) -> tuple[Neighbour, ...]:
        nearest: dict[str, Neighbour] = {}
        for picture in pictures:
            key = (group, picture.key)
            self._known.move_to_end(key)
            for one in self._known[key]:
                other = nearest.get(one.case)
                if other is None or one.similarity > other.similarity:
                    nearest[one.case] = one
        ordered = sorted(nearest.values(), key=lambda one: one.similarity, reverse=True)
        return tuple(ordered[: self.retriever.settings.neighbours])


def whole_index(run: Run) -> Retriever:
    """The retriever of a run whose model needs every word of its neighbours; RunError if none."""
    retriever = Retriever.load(run)
    if retriever is None:
        raise RunError("has no index of similar cases", where=run.path, hint=AGAIN)
    if not retriever.settings.whole:
        what = "the index has answers that were cut, and this model shows them whole"
        raise RunError(what, where=run.index, hint=AGAIN)
    return retriever
