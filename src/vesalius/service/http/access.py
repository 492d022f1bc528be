"""Who calls: a key, a login (OIDC), or anyone on loopback; and how often it may.

Owners are keyed hashes: nothing stored or logged names a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jwt
from starlette.requests import Request

from vesalius.errors import Refusal
from vesalius.service.http.rates import rates
from vesalius.service.settings import Settings
from vesalius.service.store import Store

LOCAL = "local"
MINUTE, DAY = 60, 24 * 60 * 60
MAX_USER = 256
LEEWAY = 60
"""Seconds by which the issuer's clock may differ from ours."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
HINT = "send Authorization: Bearer <key>; vesalius keys create makes one"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose things these are, and whether they lead the review."""

    owner: str
    leads: bool = False


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who holds a token: the name that is hashed, the one that an operator knows, what it may."""

    name: str
    known_as: str = ""
    may_act_for_others: bool = False
    per_minute: int | None = None


class Access:
    """Authentication and rate limits. Its methods block: call them in a thread."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self.rates = rates(settings.rate_storage)
        self._login = _Login(settings) if settings.oidc_issuer else None

    def caller(self, request: Request) -> Caller:
        """The caller of a request; Refusal where it is not known, or calls too often.

        A person whom a caller names is believed from a key made for that alone; whoever claims one
        without is refused, and that counts against its own rate.
        """
        person = _named(request.headers.getlist(self.settings.user_header))
        holder = self._holder(request)
        # People behind one key are told apart: each has its own things and its own rate.
        owner = self.store.owner(holder.name + (person if holder.may_act_for_others else ""))
        if _is_view(request):
            self._count(f"{owner} views", self.settings.views_per_minute)
        elif not self._counted_by_study(request, owner):
            self._count(owner, holder.per_minute or self.settings.rate_per_minute)
        if person and not holder.may_act_for_others:
            raise Refusal(
                "forbidden",
                "who calls may not ask for other people",
                hint="make a key with vesalius keys create --for-others",
            )
        if holder.may_act_for_others and not person:
            what = f"this key asks for other people, and {self.settings.user_header} names none"
            raise Refusal("forbidden", what, hint="name the person, or use a key of your own")
        return Caller(owner, self._leads(person or holder.known_as))

    def _leads(self, name: str) -> bool:
        leads = self.settings.review_leads
        return name in leads if leads else not self.settings.need_keys

    def at_hand(self, request: Request) -> bool:
        """Whether the caller is told without a database or a network."""
        local = self.settings.rate_storage.startswith("memory:")
        asks = "authorization" in request.headers or _study(request) is not None
        return local and self.store.salted and not asks

    def _holder(self, request: Request) -> _Holder:
        """Whose token it is; this machine's user where none is needed."""
        token = _bearer(request)
        ours = token is not None and token.startswith("vsk_")
        # OpenAI's clients always send some token: where none is needed, a foreign one is nothing.
        if token is None or not (ours or self._login or self.settings.need_keys):
            if self.settings.need_keys:
                raise Refusal("unauthenticated", "who calls is not known", hint=HINT)
            return _Holder(f"{LOCAL}\n")
        if self._login is not None and not ours:
            name = self._login.name(token)
            return _Holder(name, name.partition("\n")[2])
        key = self.store.authenticate(token)
        if key is None:
            raise Refusal("invalid_key", "this key is not known, or was revoked", hint=HINT)
        own = f"key:{key.owner}\n"
        return _Holder(own, key.name, key.may_act_for_others, key.rate_per_minute)

    def _counted_by_study(self, request: Request, owner: str) -> bool:
        """Whether it is an upload that a study has room for: opening that was counted once."""
        study_id = _study(request)
        files = None if study_id is None else self.store.files_of_study(owner, study_id)
        return files is not None and not self.rates.hit(study_id or "", files, DAY)

    def _count(self, bucket: str, per_minute: int) -> None:
        if wait := self.rates.hit(bucket, per_minute, MINUTE):
            raise Refusal(
                "rate_limited",
                f"more than {per_minute} requests in a minute",
                retry_after=max(1.0, wait),
                hint="wait as Retry-After says",
            )


class _Login:
    """Tokens of an OpenID Connect issuer, checked against its published keys."""

    def __init__(self, settings: Settings) -> None:
        assert settings.oidc_issuer is not None
        self.issuer, self.audience = settings.oidc_issuer.rstrip("/"), settings.oidc_audience
        self._keys: jwt.PyJWKClient | None = None

    def name(self, token: str) -> str:
        """The token's subject at its issuer; Refusal where it is not valid."""
        try:
            if self._keys is None:
                self._keys = jwt.PyJWKClient(self._jwks(), cache_keys=True, timeout=5)
            key = self._keys.get_signing_key_from_jwt(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=list(ALGORITHMS),
                audience=self.audience,
                leeway=LEEWAY,
                issuer=[self.issuer, f"{self.issuer}/"],
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            detail = "the login's keys cannot be fetched"
            raise Refusal("storage_unavailable", detail, retry_after=5) from error
        except jwt.PyJWTError as error:
            hint = "log in again"
            raise Refusal("invalid_key", "this login is not valid", hint=hint) from error
        return f"oidc:{self.issuer}\n{claims['sub']}"

    def _jwks(self) -> str:
        """Where the issuer publishes its keys (OpenID Connect Discovery 1.0, section 4)."""
        import httpx2

        url = f"{self.issuer}/.well-known/openid-configuration"
        try:
            answer = httpx2.get(url, timeout=5)
            answer.raise_for_status()
            return str(answer.json()["jwks_uri"])
        except (httpx2.HTTPError, KeyError, ValueError) as error:
            raise jwt.PyJWKClientConnectionError("discovery failed") from error


def _is_view(request: Request) -> bool:
    """Whether a kept picture is looked at: through a stack that is many times a minute."""
    return request.method == "GET" and request.url.path.startswith("/images/")


def _study(request: Request) -> str | None:
    """The study that an upload says it is for."""
    return request.query_params.get("study") if request.url.path == "/upload_image" else None


def _named(values: list[str]) -> str:
    """The person that a front end names: once, and whole, for a cut name may be another's."""
    if len(values) > 1 or len("".join(values)) > MAX_USER:
        raise Refusal("bad_request", f"a person is named once, by at most {MAX_USER} characters")
    return "".join(values)


def _bearer(request: Request) -> str | None:
    headers = request.headers.getlist("authorization")
    if not headers:
        return None
    if len(headers) > 1:  # a proxy may have judged the other one
        raise Refusal("bad_request", "a request has one Authorization header")
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal("unauthenticated", "the Authorization header is no bearer token", hint=HINT)
    return token.strip()
