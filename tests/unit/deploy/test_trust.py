"""`ratoon trust` before a store of authorities: done once, undone once, and only its own."""

from pathlib import Path

import pytest

from deploy.local import trust
from deploy.local.certificates import ensure
from deploy.local.failures import Failure
from deploy.local.state import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    ensure(made.tls)
    return made


@pytest.fixture
def store(tmp_path: Path) -> trust.Store:
    anchors = tmp_path / "anchors"
    anchors.mkdir()
    (anchors / "other.crt").write_text("of somebody else")
    return trust.Store(anchors, ("sh", "-c", f"ls {anchors} >> {tmp_path}/noticed"))


def _anchors(store: trust.Store) -> list[str]:
    return sorted(p.name for p in store.anchors.iterdir() if p.name != "other.crt")


def test_it_is_trusted_once_and_forgotten(home: Home, store: trust.Store, tmp_path: Path) -> None:
    assert "now" in trust.add(home, store)
    (name,) = _anchors(store)
    assert (store.anchors / name).read_bytes() == (home.tls / "ca.pem").read_bytes()
    assert name in (tmp_path / "noticed").read_text()
    assert "already" in trust.add(home, store)
    assert _anchors(store) == [name]
    assert "any more" in trust.remove(home, store)
    assert _anchors(store) == []
    assert (tmp_path / "noticed").read_text().splitlines()[-1] == "other.crt"
    assert "does not" in trust.remove(home, store)
    assert (store.anchors / "other.crt").exists()


def test_two_installations_are_trusted_apart(
    home: Home, store: trust.Store, tmp_path: Path
) -> None:
    other = Home(tmp_path / "other")
    ensure(other.tls)
    trust.add(home, store)
    trust.add(other, store)
    assert len(_anchors(store)) == 2
    trust.remove(home, store)
    assert len(_anchors(store)) == 1


def test_what_is_missing_is_said(home: Home, store: trust.Store, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="ratoon up"):
        trust.add(Home(tmp_path / "never"), store)
    with pytest.raises(Failure, match="no store"):
        trust.system_store([trust.Store(tmp_path / "never", ("true",))])
    with pytest.raises(Failure, match="failed"):
        trust.add(home, trust.Store(store.anchors, ("false",)))


def test_the_first_store_that_is_there_is_taken(store: trust.Store, tmp_path: Path) -> None:
    assert trust.system_store([trust.Store(tmp_path / "never", ("true",)), store]) == store
