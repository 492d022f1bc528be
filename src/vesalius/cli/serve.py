"""serve, keys and log: the service and what its operator does beside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vesalius.cli.panels import SERVE

if TYPE_CHECKING:
    from vesalius.service.settings import Settings
    from vesalius.service.store import Store

keys = typer.Typer(help="Make, list, rotate and revoke the keys of callers.", no_args_is_help=True)
logs = typer.Typer(help="The audit log.", no_args_is_help=True)

FittedRun = Annotated[Path | None, typer.Option(help="A fitted run's folder.")]
OtherModel = Annotated[
    str | None, typer.Option(help="Without a run: a hub id or folder of a model.")
]
Endpoint = Annotated[
    str | None, typer.Option(help="Or an OpenAI-compatible server, e.g. http://host/v1.")
]
Replay = Annotated[
    str | None, typer.Option(help="Or saved predictions, or 'echo': for tests, load and a look.")
]
AbstainBelow = Annotated[
    float | None, typer.Option(min=0, max=1, help="Mark answers of less confidence.")
]
Reviewed = Annotated[
    int | None,
    typer.Option(min=0, help="Put so many of the run's test answers up for experts to rate."),
]
ReviewedWith = Annotated[
    str | None,
    typer.Option(
        help="With --review: other runs' folders and 'references', shuffled in; commas between."
    ),
]
StateFolder = Annotated[
    Path | None, typer.Option(help="Folder of database and pictures; default vesalius-state.")
]
Database = Annotated[
    str | None, typer.Option("--database", help="SQLAlchemy URL, e.g. postgresql://...")
]


def register(app: typer.Typer) -> None:
    """Add the commands of the service."""
    app.command(rich_help_panel=SERVE)(serve)
    app.command(rich_help_panel=SERVE)(ratings)
    app.add_typer(keys, name="keys", rich_help_panel=SERVE)
    app.add_typer(logs, name="log", rich_help_panel=SERVE)


def serve(
    run: FittedRun = None,
    model: OtherModel = None,
    endpoint: Endpoint = None,
    replay: Replay = None,
    host: Annotated[
        str | None, typer.Option(help="Default 127.0.0.1. Beyond loopback keys are needed.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Default 8000; 0 chooses a free one.")] = None,
    state: StateFolder = None,
    database: Database = None,
    pictures: Annotated[
        str | None, typer.Option(help="A folder, or an fsspec URL, e.g. s3://bucket/prefix.")
    ] = None,
    abstain_below: AbstainBelow = None,
    review: Reviewed = None,
    review_with: ReviewedWith = None,
    log_format: Annotated[str | None, typer.Option(help="json or console.")] = None,
) -> None:
    """Answer questions about pictures over HTTP. Settings are also variables: VESALIUS_..."""
    from vesalius.service.settings import settings

    chosen = settings(
        run=run,
        model=model,
        endpoint=endpoint,
        replay=replay,
        host=host,
        port=port,
        state=state,
        database_url=database,
        pictures_url=pictures,
        abstain_below=abstain_below,
        review=review,
        review_with=review_with,
        log_format=log_format,
    )
    from vesalius.service.server import serve as step  # a second, which a fault need not wait for

    step(chosen, _announce)


def _announce(url: str, service: Any) -> None:
    from urllib.parse import urlsplit

    from vesalius.system.addresses import is_loopback

    settings = service.settings
    who = "a key is needed" if settings.need_keys else "no key is needed on this machine"
    typer.echo(f"vesalius serves {url} ({who}); state in {settings.state}/", err=True)
    if settings.endpoint is not None and not is_loopback(
        urlsplit(settings.endpoint).hostname or ""
    ):
        typer.echo(f"pictures and questions go on to {settings.endpoint}", err=True)
    typer.echo(f"ready when {url}/readyz says so; the API: {url}/openapi.json", err=True)
    typer.echo("Research use only; not a medical device.", err=True)


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Whose key this is: a system, not a patient.")],
    state: StateFolder = None,
    database: Database = None,
    for_others: Annotated[
        bool, typer.Option(help="It may ask for people that it names, as a front end does.")
    ] = False,
    per_minute: Annotated[
        int | None, typer.Option(min=1, help="Requests a minute; default: the service's.")
    ] = None,
) -> None:
    """Make a key. It is shown this once; only its hash is kept."""
    store = _store(state, database)
    key, secret = store.create_key(name, may_act_for_others=for_others, rate_per_minute=per_minute)
    store.log("key.created", about=key.id)
    _show_secret(key.id, name, secret)


def _show_secret(key_id: str, name: str, secret: str) -> None:
    typer.echo(f"{key_id} ({name}); keep this, it is not shown again:", err=True)
    typer.echo(secret)


@keys.command("list")
def list_keys(state: StateFolder = None, database: Database = None) -> None:
    """The keys, a line each: id, name, when made, last used (to the hour), when revoked."""
    for key in _store(state, database).list_keys():
        times = {"made": key.created_at, "last used": key.last_used_at, "revoked": key.revoked_at}
        dates = [f"{what} {at:%Y-%m-%d %H:%M}" for what, at in times.items() if at is not None]
        others = ["for others"] if key.may_act_for_others else []
        typer.echo(f"{key.id}  {key.name} ({', '.join([*others, *dates])})")


@keys.command("rotate")
def rotate_key(
    key_id: Annotated[str, typer.Argument(help="The key's id (key_...), as list shows it.")],
    state: StateFolder = None,
    database: Database = None,
    overlap: Annotated[
        float, typer.Option(min=0, help="Minutes for which the old one still opens.")
    ] = 0,
) -> None:
    """Make a key with the rights and the things of another, which ends."""
    from datetime import timedelta

    store = _store(state, database)
    key, secret = store.rotate_key(key_id, overlap=timedelta(minutes=overlap))
    store.log("key.created", about=key.id)
    store.log("key.rotated", about=key_id)
    _show_secret(key.id, key.name, secret)


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="The key's id (key_...), as list shows it.")],
    state: StateFolder = None,
    database: Database = None,
) -> None:
    """Take a key back, at once."""
    store = _store(state, database)
    key = store.revoke_key(key_id)
    store.log("key.revoked", about=key.id)
    typer.echo(f"{key.id} ({key.name}) is revoked")


def ratings(
    state: StateFolder = None,
    database: Database = None,
    adjudicated: Annotated[
        bool, typer.Option("--adjudicated", help="Also the final words, marked as such.")
    ] = False,
) -> None:
    """What experts said in reviews, as JSON lines; raters are hashes."""
    import json

    store = _store(state, database)
    finals = list(store.adjudications())
    for one in [*store.ratings(), *(finals if adjudicated else ())]:
        typer.echo(json.dumps(one.to_row(), ensure_ascii=False))
    if finals and not adjudicated:
        typer.echo(
            f"left out: {len(finals)} final words (--adjudicated prints them, too)", err=True
        )


@logs.command("verify")
def verify_log(
    state: StateFolder = None,
    database: Database = None,
    noted: Annotated[
        str | None, typer.Option(help="A head noted earlier: the log must still hold it.")
    ] = None,
) -> None:
    """Check the audit log's chain of hashes, entry by entry."""
    from vesalius.errors import RunError

    verdict = _store(state, database).verify(noted=noted)
    if not verdict.ok:
        where = f"entry {verdict.first_bad}"
        raise RunError(f"the audit log is broken: {verdict.why}", where=where)
    typer.echo(f"{verdict.count} entries hold; head {verdict.head}")


def _store(state: Path | None, database: str | None) -> "Store":
    from vesalius.service.storage import open_store

    store = open_store(_settings(state, database))
    store.migrate()
    return store


def _settings(state: Path | None, database: str | None) -> "Settings":
    from vesalius.service.settings import settings

    return settings(state=state, database_url=database)
