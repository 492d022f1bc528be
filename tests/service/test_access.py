"""Who calls: keys, logins, people behind one key; nobody sees another's things; rates."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from serving import Serving, png, serving


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("keyed"), keys="on", rate_per_minute=100_000) as running:
        yield running


def bearer(secret: str, **named: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"} | named


def make_key(api: Serving, **options: object) -> str:
    return str(api.service.store.create_key("test", **options)[1])


def test_nobody_is_let_in_without_a_key(keyed: Serving) -> None:
    for answer in (
        keyed.upload(),
        keyed.client.get("/conversations"),
        keyed.client.post("/v1/chat/completions", json={}),
        keyed.client.post("/v1/responses", json={}),
        keyed.client.get("/images/img_0"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer vsk_wrong_key", "Bearer x", "Basic dTpw", "Bearer"])
def test_a_wrong_key_is_no_key(keyed: Serving, header: str) -> None:
    answer = keyed.client.get("/conversations", headers={"Authorization": header})
    assert answer.status_code == 401
    assert "vsk_wrong_key" not in answer.text


def test_probes_need_no_key(keyed: Serving) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/version", "/openapi.json"):
        assert keyed.client.get(path).status_code == 200


def test_where_no_key_is_needed_a_foreign_token_is_nothing(api: Serving) -> None:
    assert api.client.get("/conversations", headers=bearer("sk-unused")).status_code == 200
    assert api.client.get("/conversations", headers=bearer("vsk_wrong")).status_code == 401


def test_a_revoked_key_is_out_at_once(keyed: Serving) -> None:
    key, secret = keyed.service.store.create_key("short")
    assert keyed.client.get("/conversations", headers=bearer(secret)).status_code == 200
    keyed.service.store.revoke_key(key.id)
    answer = keyed.client.get("/conversations", headers=bearer(secret))
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")


def test_what_is_another_s_is_as_if_it_were_not(keyed: Serving) -> None:
    mine, theirs = bearer(make_key(keyed)), bearer(make_key(keyed))
    image_id = keyed.image_id(headers=mine)
    question = {"image_id": image_id, "question": "mine?"}
    answered = keyed.client.post("/ask_question", json=question, headers=mine).json()
    url = f"/conversations/{answered['conversation_id']}"
    two = {"image_ids": [image_id, keyed.image_id(png(12), headers=mine)]}
    study = keyed.client.post("/studies", json=two, headers=mine).json()["study_id"]
    file = {"files": {"image_file": png()}, "headers": theirs}
    never = "img_" + "0" * 40
    for answer in (
        keyed.client.get(f"/images/{image_id}", headers=theirs),
        keyed.client.get(f"/images/{image_id}?side=16", headers=theirs),
        keyed.client.get(f"/images/{image_id}", headers=theirs | {"Accept": "application/json"}),
        keyed.client.delete(f"/images/{image_id}", headers=theirs),
        keyed.client.post(f"/images/{image_id}/cover", headers=theirs),
        keyed.client.post(f"/answers/{answered['answer_id']}/report", **file),
        keyed.client.get(f"/answers/{answered['answer_id']}/fhir", headers=theirs),
        keyed.client.post(f"/upload_image?study={study}", **file),
        keyed.client.get(f"/studies/{study}", headers=theirs),
        keyed.client.delete(f"/studies/{study}", headers=theirs),
        keyed.client.post("/studies", json=two, headers=theirs),
        keyed.client.post("/ask_question", json=two | {"question": "mine?"}, headers=theirs),
        keyed.client.post("/ask_question", json=question, headers=theirs),
        keyed.client.get(url, headers=theirs),
        keyed.client.get(f"{url}/export", headers=theirs),
        keyed.client.delete(url, headers=theirs),
        keyed.client.post(
            "/feedback", json={"answer_id": answered["answer_id"], "verdict": "up"}, headers=theirs
        ),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    unknown = keyed.client.get(f"/images/{never}", headers=theirs).json()
    others = keyed.client.get(f"/images/{image_id}", headers=theirs).json()
    assert unknown["detail"] == others["detail"]
    for name in ("conversations", "images", "studies"):
        for more in ("", "?asked=true", "?asked=false", "?alone=true", "?alone=false"):
            assert keyed.client.get(f"/{name}{more}", headers=theirs).json()[name] == []
        assert keyed.client.get(f"/{name}", headers=mine).json()[name]
    assert keyed.client.get(url, headers=mine).status_code == 200


def test_the_same_bytes_of_two_callers_are_two_pictures(keyed: Serving) -> None:
    mine, theirs = bearer(make_key(keyed)), bearer(make_key(keyed))
    data = png(11)
    assert keyed.image_id(data, headers=mine) != keyed.image_id(data, headers=theirs)


def test_people_behind_a_front_end_are_told_apart(keyed: Serving) -> None:
    secret = make_key(keyed, may_act_for_others=True)
    ann, bob = (bearer(secret, **{"X-Vesalius-User": name}) for name in ("ann", "bob"))
    image_id = keyed.image_id(headers=ann)
    assert keyed.client.get(f"/images/{image_id}", headers=ann).status_code == 200
    assert keyed.client.get(f"/images/{image_id}", headers=bob).status_code == 404


def test_only_a_key_made_for_it_may_ask_for_others(keyed: Serving) -> None:
    headers = bearer(make_key(keyed), **{"X-Vesalius-User": "ann"})
    answer = keyed.client.get("/conversations", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_key_for_others_says_for_whom(keyed: Serving) -> None:
    headers = bearer(make_key(keyed, may_act_for_others=True))
    for person in ({}, {"X-Vesalius-User": ""}):
        answer = keyed.client.get("/conversations", headers=headers | person)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "X-Vesalius-User names none" in answer.json()["detail"]


def test_without_a_key_a_person_is_not_believed_and_counts_all_the_same(tmp_path: Path) -> None:
    with serving(tmp_path, rate_per_minute=5) as api:
        people = [{"X-Vesalius-User": f"u{number}"} for number in range(5)]
        codes = [api.client.get("/conversations", headers=one).status_code for one in people]
        assert codes == [403] * 5
        # The next name has no rate of its own.
        answer = api.client.get("/conversations", headers={"X-Vesalius-User": "another"})
        assert answer.json()["code"] == "rate_limited"


def test_two_authorization_headers_are_refused(keyed: Serving) -> None:
    headers = [("Authorization", f"Bearer {make_key(keyed)}") for _ in range(2)]
    answer = keyed.client.get("/conversations", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_a_rotated_key_keeps_its_things_and_its_people(keyed: Serving) -> None:
    store = keyed.service.store
    key, old = store.create_key("page", may_act_for_others=True, rate_per_minute=1000)
    ann = {"X-Vesalius-User": "ann"}
    image_id = keyed.image_id(headers=bearer(old, **ann))
    new_key, new = store.rotate_key(key.id)
    assert new_key.id != key.id
    assert (new_key.name, new_key.may_act_for_others, new_key.rate_per_minute) == (
        "page", True, 1000,
    )  # fmt: skip
    read = keyed.client.get(f"/images/{image_id}", headers=bearer(new, **ann))
    assert read.status_code == 200
    late = keyed.client.get(f"/images/{image_id}", headers=bearer(old, **ann))
    assert (late.status_code, late.json()["code"]) == (401, "invalid_key")


def test_too_many_requests_are_told_when_to_come_back(tmp_path: Path) -> None:
    with serving(tmp_path, keys="on", rate_per_minute=5) as api:
        mine, theirs = bearer(make_key(api)), bearer(make_key(api, rate_per_minute=2))
        codes = [api.client.get("/conversations", headers=mine).status_code for _ in range(7)]
        assert codes == [200] * 5 + [429] * 2
        answer = api.client.get("/conversations", headers=mine)
        assert answer.json()["code"] == "rate_limited"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        codes = [api.client.get("/conversations", headers=theirs).status_code for _ in range(3)]
        assert codes == [200, 200, 429]


def test_looking_through_a_stack_takes_no_question_away(tmp_path: Path) -> None:
    with serving(tmp_path, rate_per_minute=3, views_per_minute=40) as api:
        url = f"/images/{api.image_id()}"
        codes = [api.client.get(url).status_code for _ in range(41)]
        assert codes == [200] * 40 + [429]
        refused = api.client.get(url)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        # The upload was the first request: two are left, whatever was looked at.
        codes = [api.client.get("/conversations").status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert api.client.delete(url).status_code == 429  # it is no view


class Issuer:
    """An OpenID issuer on loopback, with a signing key."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        outer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.endswith("openid-configuration"):
                    content = {"issuer": outer.url, "jwks_uri": f"{outer.url}/keys"}
                else:
                    public = json.loads(RSAAlgorithm.to_jwk(outer.key.public_key()))
                    content = {"keys": [public | {"kid": "1", "use": "sig", "alg": "RS256"}]}
                data = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, **fields: object) -> str:
        claims = {"iss": self.url, "aud": "vesalius", "sub": "ann", "exp": time.time() + 60}
        return jwt.encode(claims | fields, self.key, "RS256", headers={"kid": "1"})


def test_logins_of_an_issuer_are_callers(tmp_path: Path) -> None:
    issuer = Issuer()
    with serving(tmp_path, keys="on", oidc_issuer=issuer.url, oidc_audience="vesalius") as api:
        ann = bearer(issuer.token())
        image_id = api.image_id(headers=ann)
        again = bearer(issuer.token(exp=time.time() + 90))
        assert api.client.get(f"/images/{image_id}", headers=again).status_code == 200
        bob = bearer(issuer.token(sub="bob"))
        assert api.client.get(f"/images/{image_id}", headers=bob).status_code == 404
        forged = jwt.encode(
            jwt.decode(issuer.token(), options={"verify_signature": False}), "k" * 40
        )
        unsigned = jwt.encode({"sub": "ann", "iss": issuer.url, "aud": "vesalius"}, None, "none")
        for token in (
            issuer.token(aud="another"),
            issuer.token(iss="http://elsewhere"),
            issuer.token(exp=time.time() - 120),
            forged,
            unsigned,
        ):
            answer = api.client.get("/conversations", headers=bearer(token))
            assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")
        assert api.client.get("/conversations", headers=bearer(make_key(api))).status_code == 200
    issuer.server.shutdown()
    issuer.server.server_close()
