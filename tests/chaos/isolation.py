"""A network of its own for some devices and a small disk for the spool; both vanish with this process, however it ends.

The network is a namespace held open by one child process, joined to ours by a pair of virtual interfaces. The
disk is a tmpfs in a mount namespace that only this process and its children are in.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from cityops.process import Process

CLONE_NEWNS, CLONE_NEWNET = 0x0002_0000, 0x4000_0000
MS_REC, MS_PRIVATE = 0x4000, 0x4_0000
MNT_DETACH = 2
_LIBC = ctypes.CDLL(None, use_errno=True)
READY_S = 5.0


class Unavailable(Exception):  # noqa: N818 - a verdict on this machine
    """This machine cannot isolate; the message says why and what would help."""


def check() -> None:
    """Raise ``Unavailable`` unless namespaces and mounts can be made here."""
    if os.geteuid() != 0:
        raise Unavailable("needs root (network namespace, tmpfs); run as root to include it")
    for program in ("ip", "nsenter", "unshare", "mount"):
        if shutil.which(program) is None:
            raise Unavailable(f"needs the program {program}; Debian packages iproute2 and util-linux have it")


def leave_mounts() -> None:
    """Move this process into a mount namespace of its own; call it before threads start."""
    if _LIBC.unshare(CLONE_NEWNS) or _LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise Unavailable(f"the kernel forbids a mount namespace: {os.strerror(ctypes.get_errno())}")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()}")


class Network:
    """A namespace with one interface; ``here`` is our address on its cable, ``cut`` pulls the plug at the devices' end."""

    def __init__(self, work: Path) -> None:
        number = os.getpid() % 16_000
        self.here, self._there = (f"10.231.{number // 64}.{number % 64 * 4 + n}" for n in (1, 2))
        self._outer, self._inner = f"chaos{number}a", f"chaos{number}b"
        self._holder = Process("network", ["unshare", "--net", "sleep", "infinity"], run=work, logs=work)
        self._own = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._other = -1

    def start(self) -> None:
        """Make the namespace and the cable."""
        self._holder.start()
        pid = str(self._holder.pid)
        self._wait_until_apart(pid)
        _run("ip", "link", "add", self._outer, "type", "veth", "peer", "name", self._inner, "netns", pid)
        _run("ip", "addr", "add", f"{self.here}/30", "dev", self._outer)
        _run("ip", "link", "set", self._outer, "up")
        self._inside("ip", "addr", "add", f"{self._there}/30", "dev", self._inner)
        self.mend()
        self._other = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)

    def _wait_until_apart(self, pid: str) -> None:
        """The child must have left our namespace before the cable's end is given to it."""
        deadline = time.monotonic() + READY_S
        while Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            if time.monotonic() > deadline:
                raise Unavailable(f"no network namespace: {self._holder.tail()}")
            time.sleep(0.02)

    def _inside(self, *command: str) -> None:
        _run("nsenter", "-t", str(self._holder.pid), "-n", *command)

    def socket(self) -> socket.socket:
        """Give a socket that lives in the namespace; the calling thread is there only while it is made."""
        if _LIBC.setns(self._other, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            made = plain_socket()
        finally:
            _LIBC.setns(self._own, CLONE_NEWNET)
        return made

    def cut(self) -> None:
        """Take the devices' interface down: nothing goes out, nothing comes in, nobody is told."""
        self._inside("ip", "link", "set", self._inner, "down")

    def mend(self) -> None:
        """Take it up again."""
        self._inside("ip", "link", "set", self._inner, "up")

    def stop(self) -> None:
        """Let go of the namespace; the cable goes with it."""
        subprocess.run(["ip", "link", "del", self._outer], capture_output=True, timeout=20, check=False)
        self._holder.stop(1.0)
        for handle in (self._own, self._other):
            if handle >= 0:
                os.close(handle)


def plain_socket() -> socket.socket:
    """Give a socket in the network that the calling thread is in."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


class SmallDisk:
    """A tmpfs of a few megabytes on a folder."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self._bytes = megabytes << 20
        self._ballast = folder / "ballast"

    def start(self) -> None:
        """Mount it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self._bytes}", "chaos", str(self.folder))

    def fill(self, leave: int) -> None:
        """Take up all room but ``leave`` bytes."""
        free = os.statvfs(self.folder)
        size = max(0, free.f_bavail * free.f_frsize - leave)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(size, 1))

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def stop(self) -> None:
        """Unmount it."""
        _LIBC.umount2(str(self.folder).encode(), MNT_DETACH)
