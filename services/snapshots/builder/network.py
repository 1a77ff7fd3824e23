"""A network namespace with a way out and none to this machine's loopback: user-mode NAT, nothing to clean up after.

That of a build has routes of ours; those of its steps lie behind it.

Starts in front of every step: the standard library alone.
"""

import ctypes
import os
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

# As slirp4netns has them in each network that it makes.
NAMESERVER, _GATEWAY = "10.0.2.3", "10.0.2.2"
_NEWNS, _NEWNET = 0x00020000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _SIGKILL = 1, 36, 9
_MS_RDONLY, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 4096, 16384, 1 << 18
# Of rtnetlink(7): a request to create or replace a route, to be acknowledged.
_NEWROUTE, _FLAGS, _ROUTE_TABLE, _STATIC = 24, 0x505, 254, 4
_UNICAST, _UNREACHABLE, _DESTINATION, _VIA = 1, 7, 1, 5
_ROUTE = struct.Struct("=IHHII8BI")
_libc = ctypes.CDLL(None, use_errno=True)


def _done(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with_parent() -> None:
    _done(_libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0))


def adopt() -> None:
    """Become the parent of descendants whose parent ends."""
    _done(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def bind(what: str, where: str) -> None:
    _done(_libc.mount(what.encode(), where.encode(), None, _MS_BIND, None))


def mount_empty(where: str) -> None:
    """Cover a folder with an empty one."""
    _done(_libc.mount(b"tmpfs", where.encode(), b"tmpfs", 0, b"size=64k,mode=700"))


def enter(path: str) -> None:
    """Enter a namespace."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    _done(_libc.setns(handle, 0))
    os.close(handle)


def private_mounts() -> None:
    _done(_libc.unshare(_NEWNS))
    _done(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))


def hide_host_sysctls() -> None:
    """Have runsc believe that this is not the root network namespace: since Linux 6.11 it cannot tell."""
    _done(_libc.mount(b"tmpfs", b"/proc/sys/net/core", b"tmpfs", _MS_RDONLY, b"size=4k"))


def refuse(networks: Iterable[str]) -> None:
    """Have nothing reach these from the present network."""
    _add_routes(networks, _UNREACHABLE)


def permit(networks: Iterable[str]) -> None:
    """Have these be reached after all, though they lie in what is refused."""
    _add_routes(networks, _UNICAST, _attribute(_VIA, _GATEWAY))


def use_nameserver() -> None:
    """Have programs in the present mount namespace ask the nameserver of the present network."""
    file, target = Path("resolv.conf").absolute(), Path("/etc/resolv.conf")
    if target.exists():
        file.write_text(f"nameserver {NAMESERVER}\n")
        bind(str(file), str(target))


def _add_routes(networks: Iterable[str], kind: int, more: bytes = b"") -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as kernel:
        for one in networks:
            address, _, length = one.partition("/")
            rest = _attribute(_DESTINATION, address) + more
            route = (socket.AF_INET, int(length), 0, 0, _ROUTE_TABLE, _STATIC, 0, kind, 0)
            size = _ROUTE.size + len(rest)
            kernel.send(_ROUTE.pack(size, _NEWROUTE, _FLAGS, 0, 0, *route) + rest)
            [error] = struct.unpack_from("=i", kernel.recv(4096), 16)
            if error:
                raise OSError(-error, f"no route for {one}: {os.strerror(-error)}")


def _attribute(type_: int, address: str) -> bytes:
    return struct.pack("=HH4s", 8, type_, socket.inet_aton(address))


def own_network() -> int:
    """Move to a new network that reaches outside through the present one; return the process that makes it reach there."""
    me = os.getpid()
    moved_r, moved_w = os.pipe()
    ready_r, ready_w = os.pipe()
    child = os.fork()
    if not child:
        try:
            die_with_parent()
            os.close(moved_w)
            os.read(moved_r, 1)
            os.set_inheritable(ready_w, True)
            quiet = os.open("/dev/null", os.O_RDWR)
            for standard in (0, 1, 2):
                os.dup2(quiet, standard)
            command = ["slirp4netns", "--configure", "--mtu=1500", "--disable-host-loopback"]
            command += [f"--ready-fd={ready_w}", str(me), "tap0"]
            os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
        finally:
            os._exit(127)
    os.close(ready_w)
    _done(_libc.unshare(_NEWNET))
    os.write(moved_w, b"1")
    os.close(moved_w)
    if not os.read(ready_r, 1):
        sys.exit("slirp4netns did not set up the network")
    os.close(ready_r)
    return child
