"""`ratoon trust`: has this system, or one program, believe the installation's own authority for local addresses.

The public Python client insists on https for uploads, empties its environment while it connects, and believes the
system's store of authorities only: neither a variable nor a setting of the client reaches it.
"""

import ctypes
import errno
import hashlib
import os
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from deploy.local.failures import Failure
from deploy.local.state import Home

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000
_BIND, _EVERYTHING_BELOW, _PRIVATE = 4096, 16384, 1 << 18
# Where systems keep all authorities in one file; each that is there is read by some program.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True, slots=True)
class Store:
    """A system's own authorities: where one is put, and what makes the system notice."""

    anchors: Path
    refresh: tuple[str, ...]


_STORES = (
    Store(Path("/usr/local/share/ca-certificates"), ("update-ca-certificates",)),
    Store(Path("/etc/pki/ca-trust/source/anchors"), ("update-ca-trust", "extract")),
    Store(Path("/etc/pki/trust/anchors"), ("update-ca-certificates",)),
    Store(Path("/etc/ca-certificates/trust-source/anchors"), ("update-ca-trust",)),
)


def system_store(stores: Iterable[Store] = _STORES) -> Store:
    for store in stores:
        if store.anchors.is_dir():
            return store
    raise Failure(
        "no store of authorities that is known: add the file that `ratoon trust --show` names by hand"
    )


def authority(home: Home) -> Path:
    path = home.tls / "ca.pem"
    if not path.is_file():
        raise Failure(f"there is no {path} yet: run `ratoon up` once, with its own storage")
    return path


def add(home: Home, store: Store) -> str:
    """Have the system believe the authority; return what was done."""
    ca = authority(home)
    place = _place(ca, store)
    if place.is_file() and place.read_bytes() == ca.read_bytes():
        # Whoever put it there may not have got further.
        if os.access(store.anchors, os.W_OK):
            _refresh(store)
        return f"this system trusts the authority of {home.path} already: {place}"
    _needing_root(home, "trust", lambda: place.write_bytes(ca.read_bytes()))
    place.chmod(0o644)
    _refresh(store)
    return (
        f"this system trusts the authority of {home.path} now, for localhost and loopback addresses"
        f" only: {place}\n`ratoon trust --undo` takes it back"
    )


def remove(home: Home, store: Store) -> str:
    """Have the system forget the authority; return what was done."""
    place = _place(authority(home), store)
    if not place.is_file():
        return f"this system does not trust the authority of {home.path}"
    _needing_root(home, "trust --undo", place.unlink)
    _refresh(store)
    return f"this system does not trust the authority of {home.path} any more"


def run(home: Home, command: Sequence[str]) -> NoReturn:
    """Become a program that sees the system's authorities and this one; nothing else changes, and for nobody else."""
    ca = authority(home).read_bytes()
    bundles = sorted({Path(name).resolve() for name in _BUNDLES if Path(name).is_file()})
    if not bundles:
        raise Failure("this system has no file of authorities: install its ca-certificates")
    # Made before anything is changed; it goes with the mounts.
    with tempfile.TemporaryDirectory(prefix="ratoon-") as folder:
        files = []
        for number, bundle in enumerate(bundles):
            files.append(Path(folder) / str(number))
            files[-1].write_bytes(bundle.read_bytes().rstrip(b"\n") + b"\n" + ca)
            files[-1].chmod(0o644)
        _enter_own_mounts()
        for file, bundle in zip(files, bundles, strict=True):
            _mount(str(file), str(bundle), _BIND)
    # For programs that would read a folder rather than the file.
    os.environ.setdefault("SSL_CERT_FILE", str(bundles[0]))
    try:
        os.execvp(command[0], list(command))  # noqa: S606 - the program the operator named
    except OSError as failed:
        raise Failure(f"{command[0]}: {failed.strerror}") from failed


def _place(ca: Path, store: Store) -> Path:
    """Return where this authority is put; other installations have other ones."""
    certificate = ssl.PEM_cert_to_DER_cert(ca.read_text())
    return store.anchors / f"ratoon-{hashlib.sha256(certificate).hexdigest()[:12]}.crt"


def _refresh(store: Store) -> None:
    done = subprocess.run(store.refresh, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(store.refresh)} failed: {done.stderr.strip()}")


def _needing_root(home: Home, words: str, act: Callable[[], object]) -> None:
    try:
        act()
    except PermissionError:
        raise Failure(
            f"only root may change what the system trusts: sudo {_self()} {words} --home {home.path}\n"
            f"for one program, anybody may: {_self()} trust --home {home.path} -- PROGRAM …"
        ) from None


def _self() -> str:
    return str(Path(sys.executable).with_name("ratoon"))


def _enter_own_mounts() -> None:
    """Leave the mounts that all share, as root or in a user namespace of our own, where we stay who we are."""
    user, group = os.geteuid(), os.getegid()
    try:
        _call("unshare", _NEW_MOUNTS | (_NEW_USERS if user else 0))
    except OSError as refused:
        raise Failure(
            f"this system lets only root do that ({errno.errorcode.get(refused.errno or 0, '?')}):"
            f" sudo {_self()} trust"
        ) from refused
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _mount("", "/", _EVERYTHING_BELOW | _PRIVATE)


def _mount(source: str, target: str, flags: int) -> None:
    _call("mount", source.encode(), target.encode(), None, ctypes.c_ulong(flags), None)


def _call(name: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
