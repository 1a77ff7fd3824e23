"""A network namespace with a way out and none to this machine's loopback: user-mode NAT, nothing to clean up after.

Starts in front of every step: the standard library alone.
"""

import ctypes
import os
import sys

# In the folder of a build, where its first process puts the network that it came from.
OUTSIDE = "outside"
NAMESERVER = "10.0.2.3"
_NEWNS, _NEWNET = 0x00020000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _SIGKILL = 1, 36, 9
_MS_RDONLY, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 4096, 16384, 1 << 18
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


def own_network(outside: str | None = None) -> int:
    """Move to a new network that reaches outside through the one at `outside` (none: the present one).

    Return the process that makes it reach there.
    """
    me = os.getpid()
    moved_r, moved_w = os.pipe()
    ready_r, ready_w = os.pipe()
    child = os.fork()
    if not child:
        try:
            die_with_parent()
            os.close(moved_w)
            os.read(moved_r, 1)
            if outside is not None:
                enter(outside)
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
