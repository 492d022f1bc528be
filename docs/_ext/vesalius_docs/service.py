"""The settings of the service, from its class: names as variables, in the class's own groups."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from vesalius_docs.settings import meaning
from vesalius_docs.words import code, kind, table

HEAD = """# Service settings

Every setting of `vesalius serve` is a variable of the environment; the command's options go over
it. What is not valid stops the start with the variable's name. [Deploy](../guide/deploy.md) says
which ones must be decided.

In the images a secret may come from a file: `VESALIUS_DATABASE_URL_FILE` names a file that holds
`VESALIUS_DATABASE_URL`, and so for every variable.
"""
_GROUP = re.compile(r"^    # (.+)$")
_FIELD = re.compile(r"^    (\w+): ")


def page() -> str:
    """A table for each group of settings."""
    from vesalius.service.settings import Settings

    parts = [HEAD]
    for title, names in groups(Settings).items():
        rows = [
            (code(f"VESALIUS_{name.upper()}"), _kind(field), _default(field), meaning(field))
            for name in names
            for field in (Settings.model_fields[name],)
        ]
        parts += [
            f"## {title.capitalize()}\n",
            table(("variable", "takes", "default", "meaning"), rows),
        ]
    return "\n".join(parts)


def groups(settings: type) -> dict[str, list[str]]:
    """The class's fields below the comments that head them."""
    titles: dict[str, list[str]] = {}
    for line in inspect.getsource(settings).splitlines():
        if head := _GROUP.match(line):
            titles[head[1]] = []
        elif (field := _FIELD.match(line)) and titles:
            titles[list(titles)[-1]].append(field[1])
    return {title: names for title, names in titles.items() if names}


def _kind(field: FieldInfo) -> str:
    text = kind(field.annotation).removesuffix(" or null").replace(SecretStr.__name__, "text")
    return text.replace("list of text", "comma-separated list")


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(value.as_posix() if isinstance(value, Path) else f"{value}")
