"""`monolisp verify` on real files: compiled here, run here."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from monolisp.elf import verify
from monolisp.elf.confine import Way
from monolisp.elf.facts import facts_of
from monolisp.elf.trial import Ending, Trial, try_out
from monolisp.elf.verdict import Outcome, Verdict
from monolisp.errors import BadElf
from monolisp.target import find_target
from tests.integration.conftest import needs_root, run

TARGET = find_target("x86_64-linux-musl")

# Programs without a libc: compiled in no time, and nothing in them but what the test is about.
START = r"""
static long call(long n, long a, long b, long c) {
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}
enum { WRITE = 1, OPEN = 2, PAUSE = 34, GETPID = 39, SOCKET = 41, CONNECT = 42, FORK = 57, EXIT = 60, KILL = 62,
       FCNTL = 72, CHMOD = 90, GETUID = 102, CHROOT = 161 };
static void say(const char *text) { long n = 0; while (text[n]) n++; call(WRITE, 1, (long)text, n); }
void body(long *stack);
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call body\n");
void body(long *stack) {
    char **arguments = (char **)(stack + 1), **environment = arguments + stack[0] + 1;
    (void)environment;
"""

Compile = Callable[..., Path]


def needs(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"waits for {tool} on this machine")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verify")


@pytest.fixture(scope="session")
def bare(folder: Path) -> Compile:
    """Compile statements into a static program without a libc."""
    if platform.machine() != "x86_64":
        pytest.skip("waits for a start-up in another processor's machine code: these are for x86-64")
    needs("cc")

    def compiled(name: str, statements: str, *flags: str) -> Path:
        source, program = folder / f"{name}.c", folder / name
        source.write_text(START + statements + "\n    call(EXIT, 0, 0, 0);\n}\n")
        options = ["-nostdlib", "-static", "-no-pie", "-O1", "-fno-stack-protector", "-fcf-protection=none"]
        subprocess.run(["cc", *options, source, "-o", program, *flags], check=True)
        return program

    return compiled


@pytest.fixture(scope="session")
def hello_c(folder: Path) -> Path:
    source = folder / "hello.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
    return source


def zig_cc(source: Path, program: Path, triple: str) -> Path:
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", triple, "-static", "-O2"]
    subprocess.run([*compiler, source, "-o", program], check=True)
    return program


def outcome(verdict: Verdict, rule: str) -> Outcome:
    return next(finding.outcome for finding in verdict.findings if finding.rule.id == rule)


def failed(verdict: Verdict) -> list[str]:
    return [finding.rule.id for finding in verdict.findings if finding.outcome is Outcome.FAIL]


def trial_of(verdict: Verdict) -> Trial:
    """The trial, where this machine allows one."""
    assert verdict.trial is not None
    if verdict.trial.ending is Ending.NOT_TRIED and "allows" in verdict.trial.reason:
        pytest.skip(f"waits for a machine that lets files be tried: {verdict.trial.reason}")
    return verdict.trial


# --- what is static, and what is not -------------------------------------------------------------------------------


def test_static_musl_program(folder: Path, hello_c: Path) -> None:
    verdict = verify(zig_cc(hello_c, folder / "hello-musl", "x86_64-linux-musl"), TARGET)
    assert verdict.ok, verdict.failures()
    trial = trial_of(verdict)
    assert (trial.ending, trial.code, trial.output) == (Ending.EXITED, 0, "hello\n")


def test_program_for_another_machine(folder: Path, hello_c: Path) -> None:
    program = zig_cc(hello_c, folder / "hello-arm", "aarch64-linux-musl")
    assert failed(verify(program, TARGET, run=False)) == ["machine"]
    verdict = verify(program)
    assert verdict.ok
    if platform.machine() != "aarch64":
        assert outcome(verdict, "runs") is Outcome.NOT_CHECKED


def test_dynamic_program() -> None:
    verdict = verify(Path("/bin/ls"))
    trial_of(verdict)
    assert {"interpreter", "dynamic-section", "needed", "undefined", "runs"} <= set(failed(verdict))
    assert verdict.trial is not None and verdict.trial.ending is Ending.NOT_STARTED
    assert any("libc" in failure for failure in verdict.failures())


@pytest.mark.parametrize("stripped", [False, True])
def test_static_glibc_holds_a_loader(folder: Path, hello_c: Path, stripped: bool) -> None:
    needs("cc")
    source, program = folder / "dlopen.c", folder / f"dlopen-{stripped}"
    source.write_text('#include <dlfcn.h>\nint main(void) { return dlopen("libm.so.6", RTLD_NOW) == 0; }\n')
    flags = ["-s"] if stripped else []
    if run(["cc", "-static", "-no-pie", *flags, source, "-o", program]).code != 0:
        pytest.skip("waits for a static glibc (libc6-dev, glibc-static)")
    verdict = verify(program)
    assert failed(verdict) == ["loader-code"]
    assert verdict.facts.stripped is stripped


def test_shared_library_and_object(folder: Path, hello_c: Path) -> None:
    needs("cc")
    library, compiled = folder / "libhello.so", folder / "hello.o"
    subprocess.run(["cc", "-shared", "-fPIC", hello_c, "-o", library], check=True)
    subprocess.run(["cc", "-c", hello_c, "-o", compiled], check=True)
    for file in (library, compiled):
        verdict = verify(file)
        assert "executable" in failed(verdict)
        assert outcome(verdict, "runs") is Outcome.NOT_CHECKED


def test_executable_stack(bare: Compile) -> None:
    verdict = verify(bare("execstack", "", "-Wl,-z,execstack"))
    assert failed(verdict) == ["stack"]


def test_writable_code(bare: Compile) -> None:
    assert failed(verify(bare("omagic", "", "-Wl,-N"))) == ["writable-code"]


def test_newer_processor(bare: Compile) -> None:
    program = bare("level3", "", "-Wl,-z,x86-64-v3")
    assert failed(verify(program, TARGET)) == ["cpu"]


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x7fELF", b"\x7fELF\x07\x01\x01" + bytes(300), b"#!/bin/sh\n"])
def test_garbage(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "garbage"
    file.write_bytes(content)
    file.chmod(0o755)
    with pytest.raises(BadElf):
        verify(file)


def test_cut_off_program(bare: Compile, tmp_path: Path) -> None:
    file = tmp_path / "half"
    content = bare("whole", "").read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadElf, match="cut off"):
        verify(file)


def test_the_files_of_this_machine_can_be_read() -> None:
    """Whatever compilers made them: no file of /usr/bin that says it is ELF is refused."""
    found = 0
    for file in sorted(Path("/usr/bin").iterdir())[:400]:
        if file.is_file() and os.access(file, os.R_OK):
            with file.open("rb") as stream:
                if stream.read(4) == b"\x7fELF":
                    found += 1
                    facts_of(file)
    assert found > 10


# --- the trial -----------------------------------------------------------------------------------------------------


def test_ends_with_an_exit_code(bare: Compile) -> None:
    verdict = verify(bare("exit3", 'say("three\\n"); call(EXIT, 3, 0, 0);'))
    trial = trial_of(verdict)
    assert verdict.ok
    assert (trial.ending, trial.code, trial.output) == (Ending.EXITED, 3, "three\n")


@pytest.mark.parametrize(
    ("statements", "name"),
    [
        ("*(volatile int *)0 = 1;", "SIGSEGV"),
        ('__asm__("ud2");', "SIGILL"),
        ("call(KILL, call(GETPID, 0, 0, 0), 6, 0);", "SIGABRT"),
        ("call(KILL, call(GETPID, 0, 0, 0), 31, 0);", "SIGSYS"),
        ('__asm__("int3");', "SIGTRAP"),
    ],
)
def test_crashes_at_once(bare: Compile, statements: str, name: str) -> None:
    verdict = verify(bare(f"crash-{name}", statements))
    assert trial_of(verdict).ending is Ending.KILLED
    assert failed(verdict) == ["runs"]
    assert any(name in failure for failure in verdict.failures())


@pytest.mark.parametrize(
    ("name", "statements"),
    [
        ("spin", "for (;;) ;"),
        ("pause", "for (;;) call(PAUSE, 0, 0, 0);"),
        ("flood", 'for (;;) say("more and more and more\\n");'),
        ("fork", "if (call(FORK, 0, 0, 0) == 0) call(FORK, 0, 0, 0); for (;;) call(PAUSE, 0, 0, 0);"),
    ],
)
def test_never_ends(bare: Compile, name: str, statements: str) -> None:
    program = bare(f"endless-{name}", statements)
    begin = time.monotonic()
    verdict = verify(program, trial=lambda facts: try_out(facts, timeout=0.5))
    assert trial_of(verdict).ending is Ending.RUNNING
    assert verdict.ok
    assert time.monotonic() - begin < 3
    assert len(trial_of(verdict).output) <= 2048
    assert_nobody_runs(program)


def assert_nobody_runs(program: Path) -> None:
    """Soon, no process of this machine runs the file."""
    status = program.stat()
    wanted = (status.st_dev, status.st_ino)
    deadline = time.monotonic() + 5
    while running := [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _file_of(entry) == wanted]:
        assert time.monotonic() < deadline, running
        time.sleep(0.02)


def _file_of(process: Path) -> tuple[int, int] | None:
    try:
        status = (process / "exe").stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


LOOK = r"""
    if (stack[0] != 1) say("arguments\n");
    for (; *environment; environment++) { say(*environment); say("\n"); }
    if (call(OPEN, (long)"/etc/passwd", 0, 0) >= 0) say("etc\n");
    if (call(OPEN, (long)"/proc/self/status", 0, 0) >= 0) say("proc\n");
    if (call(OPEN, (long)"/dev/null", 0, 0) >= 0) say("dev\n");
    if (call(OPEN, (long)"/new", 0101, 0600) >= 0) say("writable root\n");
    if (call(OPEN, (long)"/program", 0, 0) < 0) say("no program\n");
    if (call(CHMOD, (long)"/program", 0777, 0) >= 0) say("chmod\n");
    if (call(CHROOT, (long)"/", 0, 0) >= 0) say("chroot\n");
    if (call(GETUID, 0, 0, 0) != 65534) say("not nobody\n");
    for (long fd = 3; fd < 200; fd++) if (call(FCNTL, fd, 1, 0) >= 0) if (fd > 3) { say("descriptor\n"); break; }
"""


@pytest.mark.parametrize("way", list(Way))
def test_the_program_is_alone(bare: Compile, way: Way) -> None:
    if way is Way.CHROOT and os.geteuid() != 0:
        pytest.skip("waits for root: chroot without namespaces needs it")
    program = bare("look", LOOK)
    before = program.stat()
    leaked = os.open("/", os.O_RDONLY)
    try:
        os.dup2(leaked, 150, inheritable=True)
        trial = try_out(facts_of(program), ways=[way])
    finally:
        os.close(leaked)
        os.close(150)
    if trial.ending is Ending.NOT_TRIED:
        pytest.skip(f"waits for a machine that allows this way: {trial.reason}")
    assert trial.isolation == way
    assert trial.output == "MONOLISP_PROBE=1\n"
    after = program.stat()
    assert (after.st_mode, after.st_nlink, after.st_mtime_ns) == (before.st_mode, before.st_nlink, before.st_mtime_ns)


def test_the_program_has_no_network(bare: Compile) -> None:
    """Not even itself to talk to: connecting a UDP socket to 127.0.0.1 finds no way there."""
    program = bare(
        "network",
        """struct { unsigned short family, port; unsigned address; char rest[8]; } there = {2, 0x3500, 0x0100007f, {0}};
        long made = call(SOCKET, 2, 2, 0);
        say(made >= 0 && call(CONNECT, made, (long)&there, 16) == 0 ? "network" : "none");""",
    )
    assert run([program]).out == "network"
    trial = try_out(facts_of(program), ways=[Way.NAMESPACES])
    if trial.ending is Ending.NOT_TRIED:
        pytest.skip(f"waits for a machine that allows this way: {trial.reason}")
    assert trial.output == "none"


@needs_root
def test_chroot_leaves_nothing_behind(bare: Compile, tmp_path: Path) -> None:
    program = shutil.copy(bare("tidy", ""), tmp_path)
    for mode in (0o755, 0o700):
        Path(program).chmod(mode)
        assert try_out(facts_of(Path(program)), ways=[Way.CHROOT]).code == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["tidy"]


def test_no_permission_to_execute(bare: Compile) -> None:
    program = bare("plain", "")
    program.chmod(0o644)
    verdict = verify(program)
    assert verdict.ok and outcome(verdict, "runs") is Outcome.NOT_CHECKED


def test_a_file_that_is_being_written_is_not_judged(bare: Compile) -> None:
    program = bare("busy", "")
    with program.open("r+b"):
        verdict = verify(program)
    trial_of(verdict)
    assert outcome(verdict, "runs") is Outcome.NOT_CHECKED


def test_through_a_symbolic_link(bare: Compile, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(bare("linked", ""))
    verdict = verify(link)
    assert trial_of(verdict).ending is Ending.EXITED
    assert verdict.file == link


@pytest.mark.parametrize(("code", "ok"), [(0, True), (3, False)])
def test_an_executable_of_monolisp_must_end_well(bare: Compile, tmp_path: Path, code: int, ok: bool) -> None:
    needs("objcopy")
    core, program = tmp_path / "core", tmp_path / "program"
    core.write_bytes(b"LISP" * 100)
    subprocess.run(
        ["objcopy", "--add-section", f"lisp.core={core}", bare(f"lisp{code}", f"call(EXIT, {code}, 0, 0);"), program],
        check=True,
    )
    verdict = verify(program)
    trial_of(verdict)
    assert verdict.facts.lisp
    assert verdict.ok is ok


def test_from_several_threads(bare: Compile) -> None:
    facts = facts_of(bare("threaded", 'say("here\\n");'))
    with ThreadPoolExecutor(8) as pool:
        trials = list(pool.map(lambda _: try_out(facts), range(40)))
    if trials[0].ending is not Ending.NOT_TRIED:
        assert {(trial.ending, trial.code, trial.output) for trial in trials} == {(Ending.EXITED, 0, "here\n")}


def test_a_trial_costs_little(bare: Compile) -> None:
    facts = facts_of(bare("quick", ""))

    def seconds() -> float:
        begin = time.monotonic()
        try_out(facts)
        return time.monotonic() - begin

    assert min(seconds() for _ in range(10)) < 0.05


PR_SET_DUMPABLE = 4


def as_somebody_else(action: Callable[[], str]) -> str:
    """What `action` says in a process without privileges."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            # A process that has just changed its user may not open its own files of /proc, until it says it may.
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            os.write(sending, action().encode())
        finally:
            os._exit(0)
    os.close(sending)
    os.waitpid(child, 0)
    with os.fdopen(receiving, "rb") as stream:
        return stream.read().decode()


@needs_root
def test_without_privileges(bare: Compile) -> None:
    made = Path("/tmp") / f"monolisp-test-{os.getpid()}"
    shutil.copy(bare("unprivileged", LOOK), made)
    try:
        facts = facts_of(made)
        trial = try_out(facts)
        said = as_somebody_else(lambda: "{0.ending} {0.output}{0.reason}".format(try_out(facts)))
    finally:
        made.unlink()
    if trial.isolation != Way.NAMESPACES or "allows no" in said:
        pytest.skip(f"waits for a machine with user namespaces for everybody: {trial.reason or said}")
    assert said == "exited MONOLISP_PROBE=1\n"


@needs_root
def test_where_neither_way_is_allowed(bare: Compile) -> None:
    """In a user namespace that may have no further ones, without root."""
    facts = facts_of(bare("forbidden", ""))
    program = (
        "import os, sys; from pathlib import Path; from monolisp.elf import verify;"
        "Path('/proc/sys/user/max_user_namespaces').write_text('0');"
        "verdict = verify(Path(sys.argv[1])); print(verdict.ok, verdict.findings[-1].outcome, verdict.trial.reason)"
    )
    needs("unshare")
    needs("setpriv")
    without = ["setpriv", "--bounding-set", "-sys_admin,-sys_chroot"]
    done = run(["unshare", "--user", "--map-root-user", *without, sys.executable, "-c", program, facts.path])
    if done.code != 0:
        pytest.skip(f"waits for a machine with user namespaces: {done.err.strip()}")
    assert done.out.startswith("True not-checked this machine allows no new namespaces")


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_command(bare: Compile) -> None:
    good, bad = bare("good", ""), Path("/bin/ls")
    fine = run([sys.executable, "-m", "monolisp", "verify", good])
    assert fine.code == 0 and "truly static" in fine.out, fine.err
    both = run([sys.executable, "-m", "monolisp", "verify", "--json", good, bad])
    assert both.code == 1, both.err
    document = json.loads(both.out)
    jsonschema.validate(document, json.loads(files("monolisp.elf").joinpath("verify.schema.json").read_text("utf-8")))
    assert [file["ok"] for file in document["files"]] == [True, False]
    assert stat.S_IMODE(good.stat().st_mode) & 0o111
