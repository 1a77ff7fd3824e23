"""Caller tokens: nobody speaks for others, nothing outlives its time or its revocation."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from chassis.grpc import caller as module
from chassis.grpc.caller import LIFETIME, Caller, CallerInvalid, Identity, Trust, Verifier, kid_of
from tests.identities import Keyring

KEY = Caller(credential="api_key", user_id="u", organization_id="o", api_key_id="k")


@pytest.fixture
def verifier(keyring: Keyring) -> Verifier:
    return Verifier(keyring.trust())


@pytest.fixture
def auth(keyring: Keyring) -> Identity:
    return keyring.identity("auth")


def test_a_token_says_what_was_signed(auth: Identity, verifier: Verifier) -> None:
    caller = Caller(
        credential="api_key",
        user_id="auth0|x",
        email="ü@example.org",
        email_verified=True,
        organization_id="o",
        organization_role="owner",
        permissions=frozenset({"write:snapshots", "read:limits"}),
        system_admin=True,
        api_key_prefix="dtn",
        api_key_suffix="abc",
        api_key_id="k",
        account_key=True,
    )
    token, expires = auth.sign(caller)
    assert verifier.verify(token) == caller
    assert verifier.verify(token) is verifier.verify(token)
    assert time.time() < expires <= time.time() + LIFETIME


def test_a_token_ends_with_what_it_stands_on(auth: Identity, verifier: Verifier) -> None:
    now = time.time()
    _, soon = auth.sign(KEY, now, until=now + 5)
    _, later = auth.sign(KEY, now, until=now + 500)
    assert (soon, later) == (now + 5, now + LIFETIME)
    ended, _ = auth.sign(KEY, now, until=now - 0.001)
    with pytest.raises(CallerInvalid):
        verifier.verify(ended)


def test_an_expired_token_is_refused_although_it_is_remembered(
    auth: Identity, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, expires = auth.sign(KEY)
    assert verifier.verify(token) == KEY
    monkeypatch.setattr(time, "time", lambda: expires + 0.001)
    with pytest.raises(CallerInvalid):
        verifier.verify(token)


def test_a_token_from_the_future_is_refused(auth: Identity, verifier: Verifier) -> None:
    token, _ = auth.sign(KEY, time.time() + 60)
    with pytest.raises(CallerInvalid):
        verifier.verify(token)


def test_a_machine_speaks_for_itself_alone(keyring: Keyring, verifier: Verifier) -> None:
    gateway = keyring.identity("gateway")
    own = dict(gateway.metadata())["ratoon-caller"]
    assert verifier.verify(own) == Caller(credential="service", service="gateway")
    for other in (Caller(credential="service", service="auth"), KEY):
        token, _ = gateway.sign(other)
        with pytest.raises(CallerInvalid):
            verifier.verify(token)


def test_its_own_metadata_is_signed_anew_before_it_expires(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = keyring.identity("gateway")
    first, start = gateway.metadata(), time.time()
    assert gateway.metadata() is first
    monkeypatch.setattr(time, "time", lambda: start + LIFETIME / 2 + 1)
    assert gateway.metadata() != first


def test_a_stranger_is_refused(verifier: Verifier) -> None:
    token, _ = Identity("auth", Ed25519PrivateKey.generate()).sign(KEY)
    with pytest.raises(CallerInvalid):
        verifier.verify(token)


def test_one_machine_under_the_name_of_another_is_refused(
    keyring: Keyring, verifier: Verifier
) -> None:
    gateway = keyring.identity("gateway")
    gateway.service = "auth"
    token, _ = gateway.sign(KEY)
    with pytest.raises(CallerInvalid):
        verifier.verify(token)


def _b64(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _payload(**changes: Any) -> dict[str, Any]:
    now = time.time()
    claims = {"iss": "auth", "aud": "ratoon", "iat": now, "exp": now + 60}
    return {**claims, "caller": {"credential": "service", "service": "auth"}, **changes}


def _signed(auth: Identity, header: Any, payload: Any) -> str:
    signed = f"{_b64(header)}.{_b64(payload)}"
    signature = auth._key.sign(signed.encode())
    return f"{signed}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_the_hand_made_token_of_these_tests_is_good(auth: Identity, verifier: Verifier) -> None:
    token = _signed(auth, {"kid": auth.kid}, _payload())
    assert verifier.verify(token).service == "auth"


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "other"},
        {"iss": "gateway"},
        {"exp": time.time() + 10_000},
        {"exp": "soon"},
        {"iat": None},
        {"caller": {}},
        {"caller": {"credential": "api_key", "permissions": "all"}},
    ],
)
def test_claims_that_are_not_ours_are_refused(
    auth: Identity, verifier: Verifier, change: dict[str, Any]
) -> None:
    with pytest.raises(CallerInvalid):
        verifier.verify(_signed(auth, {"kid": auth.kid}, _payload(**change)))


def test_a_changed_payload_or_signature_is_refused(auth: Identity, verifier: Verifier) -> None:
    token, _ = auth.sign(KEY)
    header, payload, signature = token.split(".")
    other = _b64(_payload())
    for forged in (
        f"{header}.{other}.{signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[:-4]}",
        f"{header}.{payload}",
        f"{header}.{payload}.{signature}.{signature}",
    ):
        with pytest.raises(CallerInvalid):
            verifier.verify(forged)


@pytest.mark.parametrize(
    "header",
    [[], None, "x", {}, {"kid": None}, {"kid": {}}, {"kid": "0" * 16}],
)
def test_a_header_of_another_shape_is_refused(
    auth: Identity, verifier: Verifier, header: Any
) -> None:
    with pytest.raises(CallerInvalid):
        verifier.verify(_signed(auth, header, _payload()))


def test_endless_nesting_is_refused(auth: Identity, verifier: Verifier) -> None:
    deep = urlsafe_b64encode(b'{"kid":"a","x":' + b"[" * 5000).decode()
    with pytest.raises(CallerInvalid):
        verifier.verify(f"{deep}.{deep}.{deep}")


@given(st.text() | st.lists(st.text(), min_size=3, max_size=3).map(".".join))
def test_no_text_is_more_than_refused(keyring: Keyring, text: str) -> None:
    with pytest.raises(CallerInvalid):
        Verifier(keyring.trust()).verify(text)


@pytest.mark.parametrize(
    ("key", "user", "organization", "hit"),
    [
        ("k", "", "", True),
        ("other", "", "", False),
        ("", "u", "", True),
        ("", "u", "o", True),
        ("", "u", "other", False),
        ("", "", "o", True),
        ("", "", "", True),
        ("k", "other", "", False),
    ],
)
def test_a_revocation_hits_what_matches_all_of_it(
    auth: Identity, verifier: Verifier, key: str, user: str, organization: str, hit: bool
) -> None:
    token, _ = auth.sign(KEY)
    assert verifier.verify(token) == KEY
    verifier.revoke(time.time(), key, user, organization)
    if hit:
        with pytest.raises(CallerInvalid):
            verifier.verify(token)
    else:
        assert verifier.verify(token) == KEY
    again, _ = auth.sign(KEY)
    assert verifier.verify(again) == KEY


def test_machines_are_revoked_by_nothing(keyring: Keyring, verifier: Verifier) -> None:
    token = dict(keyring.identity("gateway").metadata())["ratoon-caller"]
    verifier.revoke(time.time() + 1, "", "", "")
    assert verifier.verify(token).service == "gateway"


def test_a_token_that_arrives_after_its_revocation_is_refused(
    auth: Identity, verifier: Verifier
) -> None:
    issued = time.time()
    verifier.revoke(issued + 0.001, "", "u", "")
    token, _ = auth.sign(KEY, issued)
    for _ in range(2):
        with pytest.raises(CallerInvalid):
            verifier.verify(token)
    later, _ = auth.sign(KEY, issued + 0.002)
    assert verifier.verify(later) == KEY


def test_revocations_are_forgotten_when_no_token_can_be_older(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.time()
    verifier.revoke(start, "a", "", "")
    monkeypatch.setattr(time, "time", lambda: start + LIFETIME)
    verifier.revoke(start + LIFETIME, "b", "", "")
    assert len(verifier._revoked) == 2
    monkeypatch.setattr(time, "time", lambda: start + LIFETIME + 10)
    verifier.revoke(start + LIFETIME + 10, "c", "", "")
    assert [r[1] for r in verifier._revoked] == ["b", "c"]


def test_memory_is_bounded(
    auth: Identity, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    tokens = [auth.sign(KEY, time.time() - i / 1000)[0] for i in range(5)]
    for token in tokens:
        verifier.verify(token)
    assert len(verifier._seen) == 3
    assert verifier.verify(tokens[0]) == KEY


def test_a_machine_that_joins_later_is_trusted_when_it_first_speaks(tmp_path: Path) -> None:
    def entry(identity: Identity) -> dict[str, str]:
        raw = identity._key.public_key().public_bytes_raw()
        public = urlsafe_b64encode(raw).rstrip(b"=").decode()
        return {"issuer": identity.service, "kid": identity.kid, "public": public}

    old, new = (Identity(n, Ed25519PrivateKey.generate()) for n in ("orgs", "gateway"))
    path = tmp_path / "trust.json"
    path.write_text(json.dumps({"keys": [entry(old)]}))
    verifier = Verifier(Trust(path))
    token = dict(new.metadata())["ratoon-caller"]
    with pytest.raises(CallerInvalid):
        verifier.verify(token)
    replaced = tmp_path / "new.json"
    replaced.write_text(json.dumps({"keys": [entry(old), entry(new)]}))
    replaced.rename(path)
    assert verifier.verify(token).service == "gateway"


def test_derived_secrets_differ_by_machine_and_purpose(keyring: Keyring) -> None:
    def derive(machine: str) -> Callable[[str], bytes]:
        return keyring.identity(machine).derive

    assert derive("auth")("a") == derive("auth")("a")
    assert len({derive("auth")("a"), derive("auth")("b"), derive("orgs")("a")}) == 3
    assert len(derive("auth")("a")) == 32


def test_an_identity_of_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = generate_private_key(SECP256R1())
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(TypeError):
        Identity.load(path, "auth")


def test_a_kid_is_made_of_the_public_key(auth: Identity) -> None:
    assert auth.kid == kid_of(auth._key.public_key())
    token, _ = auth.sign(KEY)
    header = msgspec.json.decode(module._unb64(token.split(".", maxsplit=1)[0]))
    assert header == {"alg": "EdDSA", "typ": "JWT", "kid": auth.kid}
