"""What an index is made of, put into its folder: vectors arranged, words, and what both are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vesalius.cases.likeness import Packed
from vesalius.combine.retrieval.index import Index, IndexFacts, Item, require_store
from vesalius.combine.retrieval.stores import Vectors
from vesalius.combine.retrieval.words import Pairs, write_words
from vesalius.errors import MissingExtra
from vesalius.retrieval import Retrieve, as_block
from vesalius.system import packaged


def require_parts(settings: Retrieve) -> None:
    """Raise what building would for want of an encoder or a package, before anything is fitted."""
    encoder_module().require_encoder(settings.encoder)
    require_store(settings.store)
    if settings.sentences == "minilm":
        packaged.minilm()
    elif settings.sentences is not None:
        from vesalius.models.image_networks import require_network

        require_network(as_block(settings.sentences))


def save_parts(
    folder: Path,
    items: Sequence[Item],
    pairs: Sequence[Pairs],
    seen: tuple[Vectors, Packed],
    settings: Retrieve,
) -> dict[str, Any]:
    """Write the index of the vectors and structures, and its words; returns what both are.

    ``pairs`` are the questions and answers that are kept of each item's case.
    """
    encoder = encoder_module().image_encoder(settings.encoder)
    vectors, structures = seen
    facts = IndexFacts(encoder.name, encoder.identity())
    index = Index(vectors, items, structures=structures, facts=facts)
    arranged = index.arranged(settings.index, settings.store)
    arranged.save(folder)
    about: dict[str, Any] = {
        "index": {"kind": arranged.facts.kind, "recall": arranged.facts.recall},
        "encoder_sha256": facts.identity,
    }
    if settings.sentences is not None:
        about["words"] = write_words(folder, items, pairs, vectors, settings)
    return about


def encoder_module() -> Any:
    """The encoders; MissingExtra with the command where torch is not installed."""
    try:
        from vesalius.models import encoders
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "models") from error
    return encoders
