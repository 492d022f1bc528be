"""The reference, written from the code at every build: what is not in the code is not in it.

As a Sphinx extension it writes ``docs/reference/`` before anything is read; tests call
:func:`pages` and look at the text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vesalius_docs import api, cli, datasets, http, metrics, service, settings

INDEX = """# Reference

Written from the code at every build.

```{toctree}
:maxdepth: 2

cli
recipe
models
metrics
datasets
http
service
api
```
"""


def pages() -> dict[str, str]:
    """Every generated file's path below ``docs/reference`` and its text."""
    return {
        "index.md": INDEX,
        "cli.md": cli.page(),
        "recipe.md": settings.recipe_page(),
        "models.md": settings.models_page(),
        "metrics.md": metrics.page(),
        "datasets.md": datasets.page(),
        "http.md": http.page(),
        "service.md": service.page(),
        "api.md": api.page(),
        **{f"_cli/{name}.md": text for name, text in cli.fragments().items()},
    }


def write(folder: Path) -> None:
    """Write the pages that changed and remove those whose subject is gone."""
    wanted = {folder / name: text for name, text in pages().items()}
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.rglob("*.md"):
        if path not in wanted:
            path.unlink()


def setup(app: Any) -> dict[str, Any]:
    """Sphinx calls this: write the reference before the source files are looked for."""
    app.connect("config-inited", lambda app, _: write(Path(app.srcdir) / "reference"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
