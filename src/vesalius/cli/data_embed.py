"""``vesalius data embed``: vectors of a set's pictures and words, ahead of fits and indices."""

from functools import partial
from typing import Annotated

import typer

from vesalius.cli.data_options import Hub, Name, Options, Root, SplitFile, opened
from vesalius.cli.sharing import Engine, Merge, ShardsAt, Worker, Workers, place_of, sharing


def embed(
    name: Name,
    root: Root = None,
    hub: Hub = None,
    options: Options = None,
    split_file: SplitFile = None,
    encoder: Annotated[
        str, typer.Option(help="The image encoder, as in a recipe.")
    ] = "efficientnet_lite0",
    sentences: Annotated[
        str | None, typer.Option(help="Also encode all texts, by this one, e.g. minilm.")
    ] = None,
    worker: Worker = False,
    merge: Merge = False,
    shards: ShardsAt = None,
    engine: Engine = None,
    workers: Workers = None,
) -> None:
    """Encode a data set's pictures into this machine's feature cache, alone or by many workers."""
    from vesalius.combine.retrieval.building import encoder_module

    encoder_module()  # MissingExtra without torch
    from vesalius.steps.embed import Embedding, shared_embedding
    from vesalius.steps.embed import embed as step

    shared = sharing(worker, merge, shards, engine, workers)
    opening = partial(opened, name, root, hub, options, split_file)
    if shared is None:
        count = step(Embedding(opening(), encoder, sentences))
    else:
        make = partial(shared_embedding, opening, place_of(shared), encoder, sentences)
        count = shared.job(make).merge()
    what = "pictures and texts" if sentences else "pictures"
    typer.echo(f"the feature cache has the vectors of {count:,} {what}")
