"""What a model's forward pass is told of the places that bear loss, whatever transformers takes."""

from __future__ import annotations

import pytest
import torch
from toys import dialogues, gradients, network

from vesalius.models.generative.rows import forward
from vesalius.models.generative.rows.forward import shared_places
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.rows.rows import IGNORED


def test_the_places_of_all_rows_and_their_labels_there() -> None:
    keep = torch.tensor([[False, True, True, False], [False, False, True, False]])
    given = shared_places(keep, torch.tensor([7, 8, 9]))  # row by row, as a mask picks them
    assert given["logits_to_keep"].tolist() == [1, 2]
    assert given["shift_labels"].tolist() == [[7, 8], [IGNORED, 9]]


def test_the_loss_is_the_same_where_no_mask_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network("llava")
    items = Groups(dialogues(), net.encoder, share=True, per_row=16, max_length=2048)
    batch = collator(net)([items[i] for i in range(len(items))])
    count = (batch["shift_labels"] != IGNORED).sum()
    expected, _ = gradients(net, [dict(batch)])
    monkeypatch.setattr(forward, "_PLACES_BY_ROW", False)
    assert int((batch["shift_labels"] != IGNORED).sum()) == count
    assert gradients(net, [dict(batch)])[0] == pytest.approx(expected, rel=1e-5)
