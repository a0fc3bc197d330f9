"""Running a program that refuses to be root, although we are: in a user namespace, else as a system user.

In the namespace the program sees another user's id, while to the kernel it stays the owner of our files: no
user is created and no folder's permissions change. Where the kernel or a container forbids namespaces,
a system user runs it, who then needs search permission on the folders above its own.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import Fatal

CLONE_NEWUSER = 0x1000_0000
SYSTEM_USER = "pgserver"
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Way:
    """How to start such a program: a system user to become, or a step of the child before it runs the program."""

    user: str | None = None
    enter: Callable[[], None] | None = None

    def run(self, command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a short program this way and give what it said."""
        return subprocess.run(  # noqa: S603 - our own argument list, no shell
            command,
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user else None,
            preexec_fn=self.enter,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def choose(folder: Path, program: Path) -> Way:
    """Give the way for a program whose files lie in ``folder``; the same for a folder that holds files already.

    ``program`` is tried with ``--version``. ``Fatal`` if there is no way.
    """
    if os.geteuid() != 0:
        return Way()
    owner = folder.stat().st_uid
    if owner == 0 and works(Way(enter=enter_namespace), program, folder):
        return Way(enter=enter_namespace)
    way = Way(user=_system_user() if owner == 0 else pwd.getpwuid(owner).pw_name)
    _hand_over(folder, program, str(way.user))
    return way


def works(way: Way, program: Path, folder: Path) -> bool:
    """Tell whether a program can be run that way."""
    try:
        return way.run([str(program), "--version"], folder).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def enter_namespace() -> None:
    """Become, in a new user namespace, a user who is not root; for the child between fork and exec."""
    someone = next(p for p in pwd.getpwall() if p.pw_uid)
    if _LIBC is None or _LIBC.unshare(CLONE_NEWUSER):
        raise OSError(ctypes.get_errno(), "unshare")
    uid, gid = someone.pw_uid, someone.pw_gid or someone.pw_uid
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} 0 1"), ("gid_map", f"{gid} 0 1")):
        handle = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(handle, text.encode())
        os.close(handle)


def _system_user() -> str:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            words = done.stderr.strip()
            msg = f"PostgreSQL cannot run as root, and user {SYSTEM_USER!r} could not be created: {words}; run as another user"
            raise Fatal(msg) from None
    return SYSTEM_USER


def _hand_over(folder: Path, program: Path, user: str) -> None:
    """Give the folder to the user and let it pass through the folders above it and above the program."""
    shutil.chown(folder, user, user)
    for start in (folder, program):
        for above in start.parents:
            mode = above.stat().st_mode
            if not mode & stat.S_IXOTH:
                above.chmod(mode | stat.S_IXOTH)
