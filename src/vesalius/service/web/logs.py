"""What the page's process writes of faults: kind and place. Their words may be a patient's."""

from __future__ import annotations

import logging
from typing import Any

from vesalius.service.telemetry import place_of


def quote_no_fault() -> None:
    """Write of every exception that is logged, by whatever library, its kind and place alone."""
    factory = logging.getLogRecordFactory()

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = factory(*args, **kwargs)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            record.msg, record.args = f"{record.getMessage()}: {place_of(error)}", ()
            record.exc_info = None
        return record

    logging.setLogRecordFactory(make)
