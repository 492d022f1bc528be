"""The graph of modules: no circle anywhere, a small root, nothing below the commands asks the top.

Counted are all imports: at the head of a module, inside functions, under ``TYPE_CHECKING``, and
what a package's own ``__init__`` imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src"
MOST_IN_ROOT = 8
ABOVE = ("vesalius.cli", "vesalius.__main__")
"""What may ask the package itself."""

Graph = dict[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """The files below a source folder by module name; a package is its ``__init__``."""
    named = {}
    for path in root.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imported(tree: ast.AST, known: Mapping[str, object]) -> Iterator[str]:
    """The modules that a module names: ``from a import b`` is ``a.b`` where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else str(node.module)


def ancestors(name: str) -> Iterator[str]:
    """The packages that a module is in, innermost first."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def graph(root: Path) -> Graph:
    """Who imports whom. Whoever imports from a package runs that package's ``__init__`` first.

    Modules of the package itself do not count for that: when they run, it does already.
    """
    files = modules(root)
    edges: Graph = {}
    for name, path in files.items():
        found = {m for m in imported(ast.parse(path.read_text("utf-8")), files) if m in files}
        outside = {
            package
            for module in found
            for package in ancestors(module)
            if not f"{name}.".startswith(f"{package}.")
        }
        edges[name] = (found | outside) - {name}
    return edges


def circles(edges: Graph) -> list[list[str]]:
    """The sets of modules that all reach one another, each sorted (Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(edges[name]):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            start = stack.index(name)
            components.append(sorted(stack[start:]))
            del stack[start:]

    for name in edges:
        if name not in order:
            visit(name)
    return [component for component in components if len(component) > 1]


@pytest.fixture(scope="module")
def edges() -> Graph:
    return graph(ROOT)


def test_no_modules_import_one_another(edges: Graph) -> None:
    assert len(edges) > 200
    assert circles(edges) == []


def test_the_root_is_small() -> None:
    assert len(list((ROOT / "vesalius").glob("*.py"))) <= MOST_IN_ROOT


def test_only_the_commands_import_the_package_itself(edges: Graph) -> None:
    asking = [name for name, others in edges.items() if "vesalius" in others]
    assert [name for name in asking if not name.startswith(ABOVE)] == []


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"a.py": "def f():\n    from p import b\n", "b.py": "import p.a\n"}, ["p.a", "p.b"]),
        (
            {
                "a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.b\n",
                "b.py": "from p.a import x\n",
            },
            ["p.a", "p.b"],
        ),
        # p/__init__ needs q, and q needs a module of p: importing q first cannot work
        ({"__init__.py": "import q\n", "a.py": "", "../q.py": "import p.a\n"}, ["p", "q"]),
        ({"__init__.py": "from p.a import x\n", "a.py": "import p\n"}, ["p", "p.a"]),
        ({"__init__.py": "from p.a import x\n", "a.py": "import p.b\n", "b.py": ""}, []),
        ({"a.py": "import p.b\n", "b.py": "import p.c\n", "c.py": "import p.a\n"}, "abc"),
    ],
)
def test_a_circle_is_seen_wherever_it_is(
    files: dict[str, str], circle: list[str] | str, tmp_path: Path
) -> None:
    (tmp_path / "p").mkdir()
    for name, text in ({"__init__.py": ""} | files).items():
        (tmp_path / "p" / name).write_text(text)
    wanted = [f"p.{letter}" for letter in circle] if isinstance(circle, str) else circle
    assert circles(graph(tmp_path)) == ([wanted] if wanted else [])
