"""An MCP server as agents start it, a process of its own, and the SDK's client for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

COMMAND = ("-m", "vesalius", "mcp")


@dataclass(frozen=True)
class Agent:
    """A client with its server running."""

    portal: BlockingPortal
    client: Client
    server: psutil.Process

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """A tool's result."""
        answer = self.portal.call(partial(self.client.call_tool, tool, arguments))
        assert not answer.is_error, answer.content[0].text
        return answer.structured_content

    def refused(self, tool: str, **arguments: Any) -> str:
        """The one line that a tool refuses with."""
        answer = self.portal.call(partial(self.client.call_tool, tool, arguments))
        assert answer.is_error, answer.structured_content
        (content,) = answer.content
        assert "\n" not in content.text
        assert "Traceback" not in content.text
        return content.text

    def processes(self) -> list[psutil.Process]:
        """The server, and all that it has started."""
        return [self.server, *self.server.children(recursive=True)]


def words_of(*folders: Path, options: tuple[str, ...] = ()) -> list[str]:
    """The command line of a server of these folders."""
    named = [word for folder in folders for word in ("--folder", str(folder))]
    return [*COMMAND, *named, *options]


@contextmanager
def agent(*folders: Path, options: tuple[str, ...] = ()) -> Iterator[Agent]:
    """A client of a server of these folders."""
    words = words_of(*folders, options=options)
    before = {child.pid for child in psutil.Process().children()}
    parameters = StdioServerParameters(command=sys.executable, args=words, env=dict(os.environ))
    with start_blocking_portal() as portal:
        opened = Client(stdio_client(parameters))
        with portal.wrap_async_context_manager(opened) as client:
            (server,) = (
                child
                for child in psutil.Process().children()
                if child.pid not in before and words[2] in child.cmdline()
            )
            yield Agent(portal, client, server)
