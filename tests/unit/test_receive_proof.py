"""Who is believed: tokens signed with keys made here, forged in every way that is known, and keys that come and go."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from diarynotes.receive import azure, gcs
from diarynotes.receive.keys import Keys, KeysUnavailable
from diarynotes.receive.messages import Message, Refused
from diarynotes.receive.proof import Tokens, check_key

PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
AUDIENCE, EMAIL = "https://diary.example/gcs", "pusher@project.iam.gserviceaccount.com"
# longer than any suite takes from collecting its tests to running them
AGES_S = 1_000_000


def write_keys(path: Path, **keys: rsa.RSAPrivateKey) -> str:
    algorithm = jwt.algorithms.RSAAlgorithm
    shown = [
        json.loads(algorithm.to_jwk(key.public_key())) | {"kid": name, "use": "sig", "alg": "RS256"}
        for name, key in keys.items()
    ]
    path.write_text(json.dumps({"keys": shown}))
    return str(path)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    keys = Keys(write_keys(tmp_path_factory.mktemp("keys") / "jwks.json", one=PRIVATE))
    return Tokens(keys, AUDIENCE, gcs.ISSUERS, {("email",): {EMAIL}, ("email_verified",): {True}})


def make_token(key: Any = PRIVATE, algorithm: str = "RS256", kid: str = "one", **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "aud": AUDIENCE,
        "iss": gcs.ISSUERS[0],
        "email": EMAIL,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
    }
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


def bearing(token: str) -> Message:
    return Message(b"{}", {"authorization": f"Bearer {token}"})


def test_a_token_of_the_right_account_passes(tokens: Tokens) -> None:
    tokens.check(bearing(make_token()))
    tokens.check(bearing(make_token(iss=gcs.ISSUERS[1], aud=[AUDIENCE, "another"])))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": AUDIENCE + "/"},
        {"aud": None},
        {"iss": "https://accounts.example.com"},
        {"iss": None},
        {"email": "somebody@else.example"},
        {"email": None},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"exp": int(time.time()) - AGES_S},
        {"exp": None},
        {"iat": int(time.time()) + AGES_S},
        {"nbf": int(time.time()) + AGES_S},
    ],
)
def test_a_token_that_says_something_else_does_not(tokens: Tokens, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        tokens.check(bearing(make_token(**changes)))
    assert refused.value.status in (401, 403)
    assert EMAIL not in str(refused.value)


def forge_unsigned() -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = jwt.decode(make_token(), options={"verify_signature": False})
    return f"{part({'alg': 'none', 'typ': 'JWT', 'kid': 'one'})}.{part(claims)}."


def forge_with_public_key() -> str:
    """The old trick: the public key as the secret of a symmetric signature."""
    import hashlib
    import hmac

    secret = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT","kid":"one"}').rstrip(b"=").decode()
    signing = f"{header}.{make_token().split('.')[1]}"
    digest = hmac.new(secret, signing.encode(), hashlib.sha256).digest()
    return f"{signing}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def forge_with_changed_claims() -> str:
    head, _, tail = make_token(email="somebody@else.example").split(".")
    return f"{head}.{make_token().split('.')[1]}.{tail}"


@pytest.mark.parametrize(
    "forge",
    [
        forge_unsigned,
        forge_with_public_key,
        forge_with_changed_claims,
        lambda: make_token(OTHER),
        lambda: make_token(OTHER, kid="two"),
        lambda: make_token(algorithm="RS512"),
        lambda: make_token() + "x" * 20_000,
        lambda: make_token()[:-10],
        lambda: "…",
        lambda: "",
    ],
)
def test_forged_tokens_are_refused(tokens: Tokens, forge: Callable[[], str]) -> None:
    with pytest.raises(Refused) as refused:
        tokens.check(bearing(forge()))
    assert refused.value.status == 401


@given(st.text(max_size=200))
def test_no_header_makes_the_check_stumble(tokens: Tokens, header: str) -> None:
    for value in (header, f"Bearer {header}", f"Bearer {header}.{header}.{header}"):
        with pytest.raises(Refused):
            tokens.check(Message(b"{}", {"authorization": value}))


def test_a_token_of_a_tenant_is_of_event_grid_and_of_that_tenant(tmp_path: Path) -> None:
    keys = Keys(write_keys(tmp_path / "jwks.json", one=PRIVATE))
    claims = {("tid",): {"t1"}, ("appid", "azp"): {azure.EVENT_GRID_APP}}
    tokens = Tokens(keys, "api://diary", azure.tell_issuers("t1"), claims)
    old = {"aud": "api://diary", "iss": azure.tell_issuers("t1")[0], "tid": "t1", "appid": azure.EVENT_GRID_APP}
    new = {"aud": "api://diary", "iss": azure.tell_issuers("t1")[1], "tid": "t1", "azp": azure.EVENT_GRID_APP}
    tokens.check(bearing(make_token(**old)))
    tokens.check(bearing(make_token(**new)))
    for changes in ({"tid": "t2"}, {"appid": "another"}, {"iss": azure.tell_issuers("t2")[0]}, {"appid": None}):
        with pytest.raises(Refused):
            tokens.check(bearing(make_token(**(old | changes))))


def test_keys_are_fetched_again_when_the_cloud_changes_them(tmp_path: Path) -> None:
    clock = [0.0]
    source = write_keys(tmp_path / "jwks.json", one=PRIVATE)
    keys = Keys(source, clock=lambda: clock[0])
    assert keys.find("one")
    write_keys(tmp_path / "jwks.json", two=OTHER)
    with pytest.raises(Refused):
        keys.find("two")  # looked for a moment ago: nobody makes us ask all the time
    clock[0] = 61.0
    assert keys.find("two")
    with pytest.raises(Refused):
        keys.find("one")


def test_keys_are_used_on_while_they_cannot_be_fetched(tmp_path: Path) -> None:
    clock = [0.0]
    source = tmp_path / "jwks.json"
    keys = Keys(str(source), clock=lambda: clock[0])
    with pytest.raises(KeysUnavailable):
        keys.find("one")
    write_keys(source, one=PRIVATE)
    clock[0] = 6.0
    assert keys.find("one")
    source.write_text("<html>maintenance</html>")
    clock[0] = 10_000.0
    assert keys.find("one")


def test_keys_that_are_no_rsa_keys_are_not_used(tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [{"kty": "oct", "kid": "one", "k": "c2VjcmV0"}]}))
    with pytest.raises(KeysUnavailable):
        Keys(str(tmp_path / "jwks.json")).find("one")


@pytest.mark.parametrize("given_key", [None, "", "K" * 31, "k" * 32 + " ", "é" * 32, "\0"])
def test_a_shared_key_is_all_or_nothing(given_key: str | None) -> None:
    check_key("k" * 32, "k" * 32)
    with pytest.raises(Refused):
        check_key(given_key, "k" * 32)
