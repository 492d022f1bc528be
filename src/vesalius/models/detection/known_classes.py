"""What weights of other classes are worth: rows are carried over by a class's name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from vesalius.errors import ModelError

MOST_RENEWED = 0.5
"""The share of a network's numbers that weights may leave as they are: heads of other classes."""


@dataclass(frozen=True, slots=True)
class KnownClasses:
    """The classes of weights, those of ours that were carried over, and what else starts anew."""

    names: tuple[str, ...]
    carried: tuple[str, ...]
    renewed: tuple[str, ...] = ()
    """Tensors of another shape than ours, which start from random weights."""

    def __str__(self) -> str:
        some = ", ".join(self.names[:3]) + (" ..." if len(self.names) > 3 else "")
        carried = ", ".join(self.carried) or "none"
        anew = f"; {len(self.renewed)} tensors of another shape start anew" if self.renewed else ""
        return f"{len(self.names)} classes ({some}), of which are ours: {carried}{anew}"


def carry_over(
    network: nn.Module,
    before: Mapping[str, Tensor],
    by_class: Collection[str],
    names: Sequence[str],
    classes: Sequence[str],
) -> KnownClasses:
    """Fill a network for ``classes`` from weights of classes ``names``; what it takes is told.

    Tensors ``by_class`` have a row a class: of a class that both have, its row is copied, whatever
    its number was; of others, and of equally many other classes too, none. All others are copied
    whole where their shape is the same. ModelError if less than half of the numbers is.
    """
    rows = [(place, names.index(name)) for place, name in enumerate(classes) if name in names]
    state, renewed = network.state_dict(), []
    for key, value in state.items():
        old = before.get(key)
        same = old is not None and old.shape[key in by_class :] == value.shape[key in by_class :]
        if old is None or not same:
            renewed.append(key)
        elif key in by_class:
            for place, row in rows:
                value[place] = old[row]
        else:
            value.copy_(old)
    lost = sum(state[key].numel() for key in renewed) / sum(map(Tensor.numel, state.values()))
    if lost > MOST_RENEWED:
        fault = f"are weights of another network, or of another size: {1 - lost:.0%} of ours fits"
        raise ModelError(fault, hint="name the architecture and size that they are of")
    network.load_state_dict(state)
    whole = not any(key in by_class for key in renewed)
    carried = tuple(name for name in classes if name in names) if whole else ()
    return KnownClasses(tuple(names), carried, tuple(renewed))
