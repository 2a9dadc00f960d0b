"""Code that tries to get out, and code that only wants an answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import pytest
from tests.agents.toolbox.calling import call, outcome

from penstock.agents.faults import Permanent
from penstock.agents.toolbox import code
from penstock.agents.toolbox.places import Bounds
from penstock.agents.toolbox.sandbox import PLACES, Ran, Room, ran

pytestmark = pytest.mark.timeout(120)  # each program is four processes, on a machine that may be busy
OTHER = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture(scope="module", autouse=True)
def walls() -> None:
    """A machine that cannot shut code in runs none; there is nothing to try then but that."""
    try:
        asyncio.run(ran("", Room()))
    except Permanent as fault:
        pytest.skip(str(fault))


async def tried(program: str, **room: float) -> Ran:
    return await ran(program, Room(**{"seconds": 60.0} | room))  # type: ignore[arg-type]


async def test_an_answer() -> None:
    (tool,) = code()
    assert tool.effect == "read"
    program = """
import json, math, statistics, tempfile, threading, subprocess, sys, os
open("kept.txt", "w").write("x")
with tempfile.TemporaryFile() as file: file.write(b"y")
thread = threading.Thread(target=print, args=("from a thread",)); thread.start(); thread.join()
print(subprocess.run([sys.executable, "-S", "-c", "print(6 * 7)"], capture_output=True, text=True).stdout.strip())
print(json.dumps(sorted(os.listdir("."))), "\u00fc", file=sys.stderr)
sys.exit(3)
"""
    found = await call(tool, program=program)
    assert (found.status, found.limit) == (3, "")
    assert found.stdout == "from a thread\n42\n"
    assert found.stderr == '["kept.txt", "main.py"] \u00fc\n'


async def test_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of all tools of a process share its places; one that waits runs when another has ended."""
    monkeypatch.setattr(PLACES, "bounds", Bounds(at_once=1, waiting=1, seconds=60.0))
    (first,), (second,) = code(), code(name="other")
    running = asyncio.create_task(call(first, program="import time; time.sleep(0.3); print(1)"))
    while not PLACES.taken:
        await asyncio.sleep(0)
    waiting = asyncio.create_task(call(second, program="print(2)"))
    while not PLACES.waiting:
        await asyncio.sleep(0)
    busy = await outcome(first, program="print(3)")
    assert (busy.code, "sandbox_busy" in busy.text) == ("tool_unavailable", True)
    assert [one.stdout for one in await asyncio.gather(running, waiting)] == ["1\n", "2\n"]
    assert PLACES.taken == 0


async def test_nothing_is_kept() -> None:
    await tried("open('mine', 'w').write('x')")
    assert "mine" not in (await tried("import os; print(os.listdir('/scratch'))")).stdout


WAYS_OUT = [
    "import socket; socket.create_connection(('127.0.0.1', 1), 2)",
    "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))",
    "import socket; socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "import socket; socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')",
    "open('/etc/passwd')",
    "open('/proc/self/environ')",
    "open('/proc/1/root/etc/passwd')",
    "open('/sys/kernel/uevent_helper', 'w')",
    "open('/new', 'w')",
    "import os; open(os.path.dirname(os.__file__) + '/new.py', 'w')",
    "import os; open(os.__file__, 'a')",
    "import os; os.chmod(os.__file__, 0o777)",
    "import os; os.mkdir('/dev/mine')",
    "import os; os.mknod('/scratch/disk', 0o60600, os.makedev(8, 0))",
    "import os; os.chroot('/scratch')",
    "import os; os.setuid(0)",
    "import os; os.listdir('/home')",
    "import os; os.listdir('/var/lib')",
]
CALLS_OUT = {
    "PTRACE": "libc.ptrace(16, 1, 0, 0)",
    "UNSHARE": "libc.unshare(0x10000000)",
    "MOUNT": "libc.mount(b'none', b'/scratch', b'tmpfs', 0, None)",
    "UMOUNT": "libc.umount2(b'/scratch', 2)",
    "KEYCTL": "libc.syscall(250 if X86 else 219, 0, -3, 0, 0, 0)",
    "BPF": "libc.syscall(321 if X86 else 280, 0, 0, 0)",
    "URING": "libc.syscall(425, 4, libc.malloc(200))",
    "CLONE": "libc.syscall(56 if X86 else 220, 0x10000000 | 17, 0, 0, 0, 0)",
    "SETNS": "libc.setns(0, 0)",
    "MEMORY": "libc.process_vm_readv(1, 0, 0, 0, 0, 0)",
}
TRYING = """
import ctypes, errno, json, os, platform, sys
X86 = platform.machine() == "x86_64"
libc = ctypes.CDLL(None, use_errno=True)
ways, calls = json.loads(sys.stdin.read() or open("/scratch/main.py").read().rpartition("#")[2])
found = {}
for way in ways:
    try:
        exec(way)
        found[way] = "OUT"
    except OSError as fault:
        found[way] = "shut"
    except BaseException as fault:
        found[way] = repr(fault)
for name, words in calls.items():
    ctypes.set_errno(0)
    found[name] = "shut" if eval(words) == -1 and ctypes.get_errno() == errno.EPERM else f"OUT {ctypes.get_errno()}"
os.kill(1, 9)  # the jail's first process takes no orders from inside
print(json.dumps(found))
"""


async def test_no_way_out() -> None:
    found = await tried(f"{TRYING}\n#{json.dumps([WAYS_OUT, CALLS_OUT])}")
    told = json.loads(found.stdout)
    assert len(told) == len(WAYS_OUT) + len(CALLS_OUT)
    assert {way: how for way, how in told.items() if how != "shut"} == {}


async def test_other_numbers_of_the_same_calls() -> None:
    found = await tried("import ctypes, os; ctypes.CDLL(None).syscall(0x40000000 + 39); print('still here')")
    assert (found.stdout, found.status) == ("", 128 + 31)


async def test_secrets_of_the_house(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden-word")
    found = await tried("import os; print(sorted(os.environ)); print(os.popen('echo').read())")
    assert "OPENAI" not in found.stdout
    found = await tried("import os\nfor n in range(3, 200):\n    try: os.fstat(n); print(n)\n    except OSError: pass")
    assert found.stdout == ""


async def test_other_processes_are_not_seen() -> None:
    other = await asyncio.create_subprocess_exec(*OTHER)
    try:
        found = await tried(
            f"import os\ntry: os.kill({other.pid}, 9)\nexcept OSError as e: print(type(e).__name__)\nprint(os.getpid() < 10)"
        )
        assert found.stdout == "ProcessLookupError\nTrue\n"
        assert other.returncode is None
    finally:
        other.kill()
        await other.wait()


async def test_endless_loop() -> None:
    found = await tried("print('on', flush=True)\nwhile True: pass", cpu_seconds=1)
    assert (found.limit, found.stdout) == ("cpu", "on\n")


async def test_endless_wait() -> None:
    found = None
    for seconds in (1.0, 5.0, 25.0):  # on a busy machine the interpreter may need longer than the first of them to start
        with contextlib.suppress(Permanent):
            found = await tried("import time; print('on', flush=True); time.sleep(1000)", seconds=seconds)
        if found is not None and found.stdout:
            break
    assert found is not None
    assert (found.limit, found.stdout) == ("time", "on\n")


async def test_fork_bomb() -> None:
    program = """
import os, sys
made = 0
for _ in range(1000):
    try:
        if os.fork() == 0:
            while True: os.pause() if hasattr(os, "pause") else __import__("signal").pause()
    except OSError:
        break
    made += 1
print(made)
"""
    found = await tried(program, processes=8)
    assert found.stdout == "7\n", found


async def test_much_output() -> None:
    found = await tried("import sys\nfor _ in range(50): sys.stdout.write('x' * 1_000_000)", output_bytes=1000)
    assert (found.limit, len(found.stdout)) == ("output", 1000)


async def test_memory() -> None:
    found = await tried("x = bytearray(10**9)", memory_mib=200)
    assert found.stderr.strip().endswith("MemoryError")
    program = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        x = bytearray(b"x") * (60 * 2**20)
        time.sleep(60)
time.sleep(60)
"""
    found = await tried(program, memory_mib=150)
    assert (found.limit, found.status) == ("memory", 137)


async def test_scratch_is_small() -> None:
    program = "for n in range(5):\n    with open(f'/scratch/{n}', 'wb') as f: f.write(bytes(2 * 2**20))"
    found = await tried(program, scratch_mib=4)
    assert "No space left on device" in found.stderr
    found = await tried("f = open('/scratch/x', 'wb')\nwhile True: f.write(bytes(2**20))", scratch_mib=4)
    assert "File too large" in found.stderr or "No space left" in found.stderr


async def test_packages(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)  # read inside by somebody who owns nothing
    (tmp_path / "sums.py").write_text("def double(x): return 2 * x")
    (tool,) = code(packages=[str(tmp_path)], seconds=60.0)
    assert (await call(tool, program="import sums; print(sums.double(4))")).stdout == "8\n"
    found = await call(tool, program=f"open({str(tmp_path / 'x')!r}, 'w')")
    assert "Read-only file system" in found.stderr or "Permission denied" in found.stderr


async def test_ends_with_whoever_asked() -> None:
    """A house that is killed takes the code along: nothing runs on that nobody waits for."""
    house = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import asyncio\nfrom penstock.agents.toolbox.sandbox import *\nasyncio.run(ran('import time; time.sleep(90)', Room(seconds=90)))",
        env={"PYTHONPATH": os.pathsep.join(sys.path), **os.environ},
    )

    def running() -> set[str]:
        """Those that the house started, and those that they did."""
        found = {str(house.pid)}
        parents: dict[str, str] = {}
        for place in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parents[place.parent.name] = place.read_text().rpartition(")")[2].split()[1]
        while more := {one for one, parent in parents.items() if parent in found} - found:
            found |= more
        return found - {str(house.pid)}

    async with asyncio.timeout(100):
        while len(started := running()) < 4:  # outside, border, init, code
            await asyncio.sleep(0.02)
        house.kill()
        await house.wait()
        while any(Path(f"/proc/{one}").exists() for one in started):
            await asyncio.sleep(0.02)


async def test_without_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a wall is missing, the code is not run, and what is missing is said."""
    monkeypatch.setattr("penstock.agents.toolbox.sandbox._visible", lambda _: ["/no/such/place"])
    (tool,) = code()
    told = await outcome(tool, program="print(1)")
    assert (told.state, told.code) == ("failed", "tool_failed")
    assert "sandbox_unavailable: code cannot be shut in on this machine (" in told.text
    assert "it was not run" in told.text
