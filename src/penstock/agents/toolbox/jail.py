"""A program that runs Python code where it can reach nothing: no network, no files but the interpreter's and a scratch folder in memory,
no other processes, and only so much of everything. It is started by `sandbox` as a file of its own, so it imports nothing of ours.

    outside    reads what is wanted, watches memory and whether whoever asked still lives
      ├ border     makes the namespaces (user, mounts, processes, network, messages, host name)
      └ init       process 1 inside: builds the root, gives all rights up, and, as its child,
          └ code       has limits and a filter of system calls, and becomes the interpreter

Each wall is checked for: where one cannot be had, the code is not run, and what is missing is said on the file that ``report`` names.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import platform
import resource
import select
import signal
import struct
import sys
from pathlib import Path
from typing import Any, NoReturn

LIBC = ctypes.CDLL(None, use_errno=True)

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
SPACES = NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 22, 24, 38, 47
INSIDE = 1000
"""The user inside; nobody's number where we are root, ours else."""
NOBODY = 65534
ROOT = "/proc"
"""Mounted over, in a namespace of our own, and left: it is there on every machine, and nothing is left behind."""
WATCH_SECONDS = 0.05
MEMORY = signal.SIGUSR1
"""With this signal the outermost process ends itself where memory ran out; nothing inside can do that to it."""

X86, ARM = "x86_64", "aarch64"
MOUNT_SETATTR = 442
PIVOT_ROOT = {X86: 155, ARM: 41}
CAPSET = {X86: 126, ARM: 91}
CLONE, SOCKET = {X86: 56, ARM: 220}, {X86: 41, ARM: 198}
CLONE3 = 435
ARCHITECTURE = {X86: 0xC000003E, ARM: 0xC00000B7}
REFUSED = {
    # ptrace, process_vm_*, kcmp; mounts, roots and namespaces; modules, kexec, reboot, swap, accounting, quotas; keys; bpf, perf,
    # userfaultfd, io_uring; handles of files; the kernel's log; clocks; ports and segments of x86; new mounts; pidfd_getfd; watching files
    X86: (
        *(101, 310, 311, 312, 165, 166, 155, 161, 272, 308, 175, 313, 176, 246, 320, 169, 167, 168, 163, 179, 248, 249, 250, 321, 298, 323),
        *(303, 304, 103, 159, 164, 227, 305, 172, 173, 154, 212, 180, 300, 301),
    ),
    ARM: (
        *(117, 270, 271, 272, 40, 39, 41, 51, 97, 268, 105, 273, 106, 104, 294, 142, 224, 225, 89, 60, 217, 218, 219, 280, 241, 282),
        *(264, 265, 116, 171, 170, 112, 266, 18, 262, 263),
    ),
}
REFUSED_EVERYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 467)


class Wall(Exception):
    """A wall that cannot be had here."""


def called(name: str, result: int) -> int:
    """The result of a call of the C library. Raises `Wall` where it failed."""
    if result < 0:
        raise Wall(f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def syscall(name: str, number: int, *args: Any) -> int:
    """Make a system call by its number. Raises `Wall` where it failed."""
    return called(name, LIBC.syscall(ctypes.c_long(number), *args))


def prctl(name: str, option: int, *args: int) -> None:
    """Raises `Wall` where it failed."""
    padded = (*args, 0, 0, 0, 0)[:4]
    called(name, LIBC.prctl(option, *(ctypes.c_ulong(one) for one in padded)))


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Raises `Wall` where it failed."""
    words = (source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None)
    called(f"mount {target}", LIBC.mount(*words))


def sealed(path: str, *, whole: bool) -> None:
    """Nothing can be written there any more; with ``whole`` also not in what is mounted beneath."""
    attributes = ctypes.create_string_buffer(struct.pack("=QQQQ", ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV, 0, 0, 0))
    flags = ctypes.c_uint(AT_RECURSIVE if whole else 0)
    syscall(f"seal {path}", MOUNT_SETATTR, ctypes.c_int(AT_FDCWD), path.encode(), flags, attributes, ctypes.c_size_t(32))


def build(wanted: dict[str, Any]) -> None:
    """Make the root that the code will see, and leave the machine's."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount("tmpfs", ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for path in wanted["visible"]:
        inside = ROOT + path
        Path(inside).parent.mkdir(parents=True, exist_ok=True)
        if Path(path).is_symlink():
            Path(inside).symlink_to(Path(path).readlink())
            continue
        if Path(path).is_dir():
            Path(inside).mkdir(exist_ok=True)
        else:
            Path(inside).touch()
        mount(path, inside, "", MS_BIND | MS_REC)
        sealed(inside, whole=True)
    Path(f"{ROOT}/dev").mkdir()
    for name in ("null", "zero", "urandom", "random"):
        Path(f"{ROOT}/dev/{name}").touch()
        mount(f"/dev/{name}", f"{ROOT}/dev/{name}", "", MS_BIND)
    Path(f"{ROOT}/scratch").mkdir()
    mount("tmpfs", f"{ROOT}/scratch", "tmpfs", MS_NOSUID | MS_NODEV, f"size={wanted['scratch']},nr_inodes=4096,mode=1777")
    Path(f"{ROOT}/scratch/main.py").write_text(wanted["code"], encoding="utf-8")
    os.chdir(ROOT)
    syscall("pivot_root", PIVOT_ROOT[platform.machine()], b".", b".")
    called("leave the machine's root", LIBC.umount2(b".", MNT_DETACH))
    os.chdir("/")
    sealed("/", whole=False)
    called("name the host", LIBC.sethostname(b"inside", 6))


def humble(as_root: bool) -> None:
    """Give up every right, for good."""
    for right in range(64):
        if LIBC.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(right), 0, 0, 0) < 0:
            if ctypes.get_errno() == errno.EINVAL and right > 30:
                break  # the kernel knows no more
            raise Wall(f"drop the right {right}: {os.strerror(ctypes.get_errno())}")
    if as_root:
        os.setresgid(INSIDE, INSIDE, INSIDE)
        os.setresuid(INSIDE, INSIDE, INSIDE)
    head = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
    none = ctypes.create_string_buffer(24)
    syscall("give rights up", CAPSET[platform.machine()], head, none)
    prctl("no new rights", PR_SET_NO_NEW_PRIVS, 1)
    prctl("end with the parent", PR_SET_PDEATHSIG, signal.SIGKILL)


def bounded(wanted: dict[str, Any]) -> None:
    """Limits; one on processor time is told a second before it kills."""
    resource.setrlimit(resource.RLIMIT_CPU, (wanted["cpu"], wanted["cpu"] + 1))
    limits = {
        resource.RLIMIT_AS: wanted["memory"],
        resource.RLIMIT_NPROC: wanted["processes"],
        resource.RLIMIT_FSIZE: wanted["scratch"],
        resource.RLIMIT_NOFILE: 128,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for which, most in limits.items():
        resource.setrlimit(which, (most, most))


def filtered() -> None:
    """Refuse system calls that lead out or that nobody needs inside. Raises `Wall` where that cannot be had."""
    machine = platform.machine()
    load, equal, at_least, masked, give = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, refuse, unknown, allow = 0x80000000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS, 0x7FFF0000
    lines: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),
        (equal, 1, 0, ARCHITECTURE[machine]),
        (give, 0, 0, kill),
        (load, 0, 0, 0),
        (at_least, 0, 1, 0x40000000),  # the other numbers that x86 has for the same calls
        (give, 0, 0, kill),
    ]
    for number in (*REFUSED[machine], *REFUSED_EVERYWHERE):
        lines += [(equal, 0, 1, number), (give, 0, 0, refuse)]
    # Its arguments lie in memory, where a filter cannot look: the C library then takes clone.
    lines += [(equal, 0, 1, CLONE3), (give, 0, 0, unknown)]
    lines += [(equal, 0, 4, CLONE[machine]), (load, 0, 0, 16), (masked, 0, 1, SPACES), (give, 0, 0, refuse), (give, 0, 0, allow)]
    # Sockets within the jail alone; among the others are some that no network namespace holds.
    lines += [(equal, 0, 4, SOCKET[machine]), (load, 0, 0, 16), (equal, 1, 0, 1), (give, 0, 0, refuse), (give, 0, 0, allow)]
    lines += [(give, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(code)))
    prctl("filter system calls", PR_SET_SECCOMP, 2, ctypes.addressof(program))


def become_code(wanted: dict[str, Any], report: int) -> NoReturn:
    """Turn into the interpreter, with nothing of ours left."""
    bounded(wanted)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.chdir("/scratch")
    paths = ["/scratch", *wanted["packages"]]
    first = f"import sys, runpy; sys.path[:0] = {paths!r}; runpy.run_path('/scratch/main.py', run_name='__main__')"
    words = [wanted["python"], "-I", "-S", "-B", "-X", "utf8", "-c", first]
    environment = {"HOME": "/scratch", "TMPDIR": "/scratch", "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for number in range(3, 128):
        if number != report:
            try:
                os.close(number)
            except OSError:
                continue
    os.set_inheritable(report, False)
    filtered()
    os.write(report, b"ready\n")
    os.execve(wanted["python"], words, environment)  # noqa: S606 - no shell is the point


def init(wanted: dict[str, Any], report: int, life: int, *, as_root: bool) -> int:
    """Process 1 inside: when it ends, all others there do. ``life`` is closed at its other end when the parent ends."""
    os.setsid()  # a signal to the code's own group reaches nobody outside
    build(wanted)
    humble(as_root)
    if select.select([life], [], [], 0)[0]:
        return 1  # the parent ended before it could take this along
    child = os.fork()
    if child == 0:
        guarded(report, lambda: become_code(wanted, report))
    for number in (report, 0, 1, 2):
        os.close(number)
    while True:
        pid, status = os.wait()
        if pid == child:
            return ended(status)


def border(wanted: dict[str, Any], report: int, ready: int, go: int, *, as_root: bool) -> int:
    """Make the namespaces and wait inside them for what comes of it."""
    if as_root:
        os.setgroups([])
    called("namespaces of our own", LIBC.unshare(SPACES))
    os.write(ready, b"1")
    if os.read(go, 1) != b"1":
        return 1
    if as_root:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    life, life_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(life_end)
        prctl("end with the parent", PR_SET_PDEATHSIG, signal.SIGKILL)
        guarded(report, lambda: os._exit(init(wanted, report, life, as_root=as_root)))
    os.close(report)
    return ended(os.waitpid(child, 0)[1])


def ended(status: int) -> int:
    """As shells tell it: 128 and the number of the signal."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def guarded(report: int, work: Any) -> NoReturn:
    """Do it in a child; what goes wrong is reported, and the child ends."""
    try:
        work()
    except (Wall, OSError, ValueError) as fault:
        os.write(report, f"{fault}\n".encode()[:1000])
    finally:
        os._exit(1)


def mapped(child: int, *, as_root: bool) -> None:
    """Say who the users inside are outside."""
    if as_root:
        users = groups = f"0 0 1\n{INSIDE} {NOBODY} 1\n"
    else:
        Path(f"/proc/{child}/setgroups").write_text("deny")
        users, groups = f"{INSIDE} {os.geteuid()} 1\n", f"{INSIDE} {os.getegid()} 1\n"
    Path(f"/proc/{child}/uid_map").write_text(users)
    Path(f"/proc/{child}/gid_map").write_text(groups)


def held(top: int) -> int:
    """Bytes of memory that a process and all beneath it hold."""
    total, waiting = 0, [top]
    while waiting:
        pid = waiting.pop()
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(one) for one in (task / "children").read_text().split()]
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
    return total * os.sysconf("SC_PAGE_SIZE")


def outside(wanted: dict[str, Any], report: int) -> int:
    """Start it all, and end it when memory runs out or whoever asked is gone."""
    as_root = os.geteuid() == 0
    if platform.system() != "Linux" or platform.machine() not in ARCHITECTURE:
        raise Wall(f"there is no jail for {platform.system()} on {platform.machine()}")
    ready, ready_end = os.pipe()
    go, go_end = os.pipe()
    child = os.fork()
    if child == 0:
        prctl("end with the parent", PR_SET_PDEATHSIG, signal.SIGKILL)
        guarded(report, lambda: os._exit(border(wanted, report, ready_end, go, as_root=as_root)))
    for number in (report, ready_end, go):
        os.close(number)
    try:
        if os.read(ready, 1) == b"1":
            mapped(child, as_root=as_root)
            os.write(go_end, b"1")
        watched = select.poll()
        process = os.pidfd_open(child)
        watched.register(process, select.POLLIN)
        watched.register(0, select.POLLHUP)
        while True:
            found = {number for number, _ in watched.poll(WATCH_SECONDS * 1000)}
            if process in found:
                return ended(os.waitpid(child, 0)[1])
            if 0 in found:  # nobody waits for it any more
                return 1
            if held(child) > wanted["memory"] + wanted["base"]:
                os.kill(child, signal.SIGKILL)
                os.kill(os.getpid(), MEMORY)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def main() -> NoReturn:
    """Read what is wanted from standard input, a line of JSON, and run it."""
    wanted: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    report = int(wanted["report"])
    status = 1
    try:
        status = outside(wanted, report)
    except (Wall, OSError) as fault:
        try:
            os.write(report, f"{fault}\n".encode()[:1000])
        except OSError:  # closed already: the reason was told by whoever closed it
            status = 1
    os._exit(status)


if __name__ == "__main__":
    main()
