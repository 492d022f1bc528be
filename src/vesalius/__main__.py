"""``python -m vesalius``: the command line, as launchers of several processes start it."""

from __future__ import annotations

from vesalius.cli.main import main

if __name__ == "__main__":
    main()
