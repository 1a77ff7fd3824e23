"""Secrets at rest: they open where they were sealed and nowhere else, under keys that may change meanwhile."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from chassis.sealing import KeyRing, Keys, KeysInvalid, KeyUnknown, id_of, parse

FRESH = Keys("", {}).renewed()
ID = FRESH.active


def ring(keys: Keys = FRESH) -> KeyRing:
    return KeyRing(text=keys.dump())


@given(st.binary(max_size=300), st.text(max_size=40))
def test_what_is_sealed_opens_at_its_place(secret: bytes, place: str) -> None:
    sealed = ring().seal(secret, place)
    assert ring().open(sealed, place) == secret
    assert id_of(sealed) == ID
    with pytest.raises(InvalidTag):
        ring().open(sealed, place + "x")


def test_nothing_of_it_can_be_changed() -> None:
    sealed = ring().seal(b"secret", "here")
    assert b"secret" not in sealed
    assert sealed != ring().seal(b"secret", "here")
    for at in range(8, len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(InvalidTag):
            ring().open(bytes(changed), "here")
    with pytest.raises(InvalidTag):
        ring().open(sealed[:-1], "here")


def test_the_id_in_front_is_bound_too() -> None:
    twin = Keys("f" * 16, {"f" * 16: FRESH.secrets[ID], **FRESH.secrets})
    sealed = ring().seal(b"secret", "here")
    with pytest.raises(InvalidTag):
        ring(twin).open(bytes.fromhex("f" * 16) + sealed[8:], "here")


def test_old_keys_open_what_they_sealed_until_they_are_gone() -> None:
    sealed = ring().seal(b"secret", "here")
    renewed = FRESH.renewed()
    assert ring(renewed).open(sealed, "here") == b"secret"
    assert id_of(ring(renewed).seal(b"secret", "here")) == renewed.active != ID
    with pytest.raises(KeyUnknown, match=ID):
        ring(Keys(renewed.active, {renewed.active: renewed.secrets[renewed.active]})).open(
            sealed, "here"
        )


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(FRESH.dump())
    running, other = KeyRing(path), KeyRing(path)
    renewed = FRESH.renewed()
    other.replace(renewed)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["keys.json"]
    assert running.open(KeyRing(path).seal(b"new", "here"), "here") == b"new"
    assert id_of(running.seal(b"secret", "here")) == renewed.active
    assert running.replaceable
    assert not ring().replaceable


def _told(key: bytes, id_: str = ID, active: str = "") -> str:
    return json.dumps({"active": active or id_, "keys": {id_: base64.b64encode(key).decode()}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '"changeme"',
        json.dumps({"active": ID, "keys": {}}),
        json.dumps({"active": ID, "keys": {ID: "not base64!"}}),
        json.dumps({"active": ID, "keys": {ID: 5}}),
        json.dumps({"active": ID, "keys": [ID]}),
        json.dumps({"active": [], "keys": {ID: ""}}),
        _told(bytes(32)),
        _told(b"\x01\xfe" * 16),
        _told(b"a passphrase of exactly 32 bytes"),
        _told(FRESH.secrets[ID][:16]),
        _told(FRESH.secrets[ID] * 2),
        _told(FRESH.secrets[ID], id_="main"),
        _told(FRESH.secrets[ID], active="f" * 16),
    ],
    ids=map(str, range(16)),  # the texts differ from one process to the next
)
def test_keys_that_are_none_or_could_be_guessed_are_refused(text: str) -> None:
    with pytest.raises(KeysInvalid) as refused:
        parse(text)
    assert base64.b64encode(FRESH.secrets[ID]).decode()[:12] not in str(refused.value)


def test_good_keys_are_read_as_they_were_written() -> None:
    assert parse(FRESH.dump()) == FRESH
