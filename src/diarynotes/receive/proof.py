"""Who may tell us: shared keys, signatures with a time, and tokens that a cloud has signed.

Comparisons take the same time whatever is wrong; no reason given names a secret or a claim's value.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from diarynotes.receive.keys import Keys
from diarynotes.receive.messages import Message, Refused

REPLAY_WINDOW_S = 300
"""How old, or how far ahead of our clock, a signed message may be."""
_CLOCK_SKEW_S = 60
_MOST_TOKEN_CHARS = 16_000


def check_key(given: str | None, key: str) -> None:
    """Raises: Refused unless `given` is the shared `key`."""
    if not hmac.compare_digest((given or "").encode(), key.encode()):
        raise Refused("the key is missing or wrong", 401)


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """What a sender puts into `X-Diarynotes-Signature`: v1= and the HMAC-SHA256 of time, a full stop, and body."""
    digest = hmac.new(secret.encode(), str(timestamp).encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def check_signature(message: Message, secret: str, now: Callable[[], float] = time.time) -> str:
    """The signature of a message that was signed with `secret` a short time ago. Raises: Refused."""
    given = message.headers.get("x-diarynotes-signature", "")
    stamp = message.headers.get("x-diarynotes-timestamp", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise Refused("the signature or its time is missing", 401)
    if not hmac.compare_digest(given.encode(), sign(secret, int(stamp), message.body).encode()):
        raise Refused("the signature is wrong", 401)
    if abs(now() - int(stamp)) > REPLAY_WINDOW_S:
        raise Refused("the signature is too old, or the clocks differ by minutes", 401)
    return given


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an OpenID Connect token in the header `Authorization` must say, and the keys that it must be signed with.

    `claims` maps a claim, or the names that it goes by, to the values that are accepted for it.
    """

    keys: Keys = field(repr=False)
    audience: str
    issuers: tuple[str, ...]
    claims: Mapping[tuple[str, ...], Collection[Any]] = field(default_factory=dict)

    def check(self, message: Message) -> None:
        """Raises: Refused for a token that is missing, forged, expired or meant for another; KeysUnavailable."""
        import jwt  # only where tokens are checked

        scheme, _, token = message.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > _MOST_TOKEN_CHARS:
            raise Refused("the token is missing", 401)
        try:
            key = self.keys.find(str(jwt.get_unverified_header(token).get("kid", "")))
            told = jwt.decode(
                token,
                key,
                algorithms=["RS256"],  # never what the token itself asks for
                audience=self.audience,
                issuer=list(self.issuers),
                leeway=_CLOCK_SKEW_S,
                options={"require": ["exp", "iat", "aud", "iss"]},
            )
        except (jwt.PyJWTError, RecursionError) as error:
            raise Refused(f"the token is not valid ({type(error).__name__})", 401) from None
        for names, accepted in self.claims.items():
            said = next((told[name] for name in names if name in told), None)
            if not any(type(said) is type(value) and said == value for value in accepted):
                raise Refused(f"the token is not for us ({names[0]})", 403)
