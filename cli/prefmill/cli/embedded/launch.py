"""The program a child runs before it becomes a server; never imported, only started.

It stands between fork and exec, where Python code must not run in a process with threads: it takes
the ordinary user's identity when root starts Postgres, asks the kernel for a signal when the parent
dies, makes the database cluster when there is none, and then becomes the server, with the same
process id. It imports nothing of prefmill: 30 ms in all.
"""

import ctypes
import json
import os
import pwd
import signal
import sys
from types import FrameType
from typing import NoReturn, TypedDict

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Orders(TypedDict):
    """What the child is to do, in this order; it comes as JSON in the only argument."""

    parent: int
    """Process id of the parent; a child that finds another one ends at once."""
    death_signal: int
    """What the child gets when its parent dies."""
    owned: str
    """The folder to hand to an ordinary user if root starts this; empty: stay who you are."""
    prepare: list[str]
    """A program to run first (initdb), or nothing; what it makes is renamed:"""
    aside: str
    made: str
    folder: str
    """The working folder of the server, by which it is recognised later."""
    program: list[str]
    """The server: path and arguments."""


def main(orders: Orders) -> NoReturn:
    """Follow the orders. Whatever goes wrong is said on stderr, which is the server's log."""
    os.umask(0o077)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, _end)  # never ignored, no core file; exec resets it
    if orders["owned"] and os.geteuid() == 0:
        become_ordinary(orders["owned"])
    # Only now: the kernel forgets the death signal whenever a process changes its user.
    die_with(orders["parent"], orders["death_signal"])
    if orders["prepare"]:
        prepare(orders)
    os.chdir(orders["folder"])
    os.execv(orders["program"][0], orders["program"])  # noqa: S606


def die_with(parent: int, death_signal: int) -> None:
    """Have the kernel send this signal to us when the parent dies."""
    _prctl(_PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:
        sys.exit("prefmill: the parent is gone already")


def become_ordinary(folder: str) -> None:
    """Become the user who owns the folder (root: `nobody`), who may still pass closed folders."""
    user = _ordinary_user(os.lstat(folder).st_uid)
    _hand_over(folder, user.pw_uid, user.pw_gid)
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    _keep_only(_CAP_DAC_OVERRIDE)


def prepare(orders: Orders) -> None:
    """Run initdb aside and move the whole result to its place, so that half of one never counts."""
    child = os.fork()
    if child == 0:
        die_with(os.getppid(), signal.SIGTERM)
        os.execv(orders["prepare"][0], orders["prepare"])  # noqa: S606
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"prefmill: initdb failed ({os.waitstatus_to_exitcode(status)})")
    os.rename(orders["aside"], orders["made"])  # noqa: PTH104
    parent = os.open(os.path.dirname(orders["made"]), os.O_RDONLY)  # noqa: PTH120
    os.fsync(parent)
    os.close(parent)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(1)


def _ordinary_user(owner: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(owner or pwd.getpwnam("nobody").pw_uid)
    except KeyError:  # initdb wants a user with a name
        return pwd.getpwnam("nobody")


def _hand_over(folder: str, uid: int, gid: int) -> None:
    """Change the owner of all below the folder, and of the folder last: it tells what is done."""
    if os.lstat(folder).st_uid == uid:
        return
    for place, folders, files in os.walk(folder, topdown=False):
        for name in (*folders, *files):
            os.lchown(os.path.join(place, name), uid, gid)  # noqa: PTH118
    os.chown(folder, uid, gid)


def _keep_only(capability: int) -> None:
    """Of root's capabilities keep this one, and hand it on to what is started from here."""
    bits = 1 << capability
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    effective_permitted_inheritable = (ctypes.c_uint32 * 6)(bits, bits, bits, 0, 0, 0)
    if _libc.capset(header, effective_permitted_inheritable):
        raise OSError(ctypes.get_errno(), "capset: root may not keep CAP_DAC_OVERRIDE here")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *padded):
        error = ctypes.get_errno()
        raise OSError(error, f"prctl {option}: {os.strerror(error)}")


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except (OSError, KeyError) as error:
        sys.exit(f"prefmill: {error}")
