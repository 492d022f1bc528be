"""An archive that speaks DICOMweb, through dicomweb-client: bounded answers, errors without ids."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from vesalius.errors import DatasetError, MissingExtra

TOKEN = "VESALIUS_DICOMWEB_TOKEN"  # noqa: S105
"""The environment variable of a bearer token: on a command line everybody could read it."""
MOST_BYTES = 2**29
"""Of one answer, which is in memory more than once while it is read."""
_TIMEOUT = 60.0


def client_of(url: str, *, most_bytes: int = MOST_BYTES) -> Any:
    """A ``DICOMwebClient`` of the archive at ``url``; DatasetError for what is no such address.

    It tries again where the archive is busy. An answer of more than ``most_bytes`` is refused.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        what = "an archive's address begins with http:// or https://"
        raise DatasetError(what, where=parts.hostname)
    if parts.username or parts.password:
        hint = f"put a bearer token into {TOKEN}"
        raise DatasetError("the address holds a login", where=parts.hostname, hint=hint)
    try:
        from dicomweb_client import DICOMwebClient
        from requests import Response, Session
    except ImportError as error:
        raise MissingExtra("dicomweb-client", "dicomweb") from error

    class Bounded(Session):
        """Reads an answer as it comes, and lets go of one that is too large."""

        def send(self, request: Any, **options: Any) -> Response:
            response = super().send(request, **options | {"stream": True})
            content = bytearray()
            for chunk in response.iter_content(2**20):
                content += chunk
                if len(content) > most_bytes:
                    response.close()
                    what = f"an answer of more than {most_bytes:,} bytes"
                    raise DatasetError(what, where=parts.hostname)
            response._content = bytes(content)
            return response

    # Its messages hold UIDs, and what an archive says of itself.
    logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)
    token = os.environ.get(TOKEN)
    client = DICOMwebClient(
        url,
        session=Bounded(),
        headers={"Authorization": f"Bearer {token}"} if token else None,
        timeout=_TIMEOUT,
    )
    client.set_http_retry_params(max_attempts=3, wait_exponential_multiplier=200)
    return client


@contextmanager
def answers_of(url: str) -> Iterator[None]:
    """What goes wrong with the archive as DatasetError, which repeats no id."""
    from requests import HTTPError, JSONDecodeError, RequestException
    from retrying import RetryError

    host = urlsplit(url).hostname
    try:
        yield
    except HTTPError as error:
        status = error.response.status_code
        hint = f"a token goes into {TOKEN}" if status in {401, 403} else None
        raise DatasetError(f"the archive answered {status}", where=host, hint=hint) from None
    except RetryError:
        what = "the archive is busy, also the third time"
        raise DatasetError(what, where=host, hint="try again later") from None
    except JSONDecodeError:
        hint = "is it the DICOMweb address, and not that of a page?"
        raise DatasetError("the archive's list is no JSON", where=host, hint=hint) from None
    except RequestException as error:
        what = f"the archive cannot be reached ({type(error).__name__})"
        raise DatasetError(what, where=host, hint="what is here stays; run it again") from None
