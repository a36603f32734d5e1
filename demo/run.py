"""`make demo`: the whole story on this machine, with real SSH and real signatures, nothing beyond
127.0.0.1.

Exit code 1 when anything goes another way than the story says. KEEP=1 leaves Stargate running and
everybody's home in place. Leaves to others: the story (`scenes`, `attacks`) and the world it is
played in (`stage`).
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from attacks import attack
from scenes import (
    Cast,
    change_policy,
    engage,
    found,
    join,
    look_back,
    race,
    roll_out,
    without_us,
    write_and_read,
)
from screen import Screen
from stage import Deviation, Stage, missing_tools

ROOT = Path(__file__).resolve().parents[1]
SUMMARY, MARK = "summary.md", ".made-by-the-demo"
STORY: tuple[Callable[[Stage, Cast], None], ...] = (
    found, join, write_and_read, roll_out, change_policy, race, attack, look_back, without_us,
)  # fmt: skip
EXIT_INTERRUPTED = 130
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~+=@/-]+")


def main() -> int:
    """The exit code: 0 when everything went as the story says."""
    arguments = argparse.ArgumentParser(
        description="acts out git-kv on this machine; KEEP=1 in the environment leaves it running"
    )
    arguments.add_argument(
        "--dir", default=_default_dir(), help="where the demo's files go (default: %(default)s)"
    )
    root = Path(arguments.parse_args().dir).absolute()
    missing = missing_tools()
    if missing:
        return _refuse(f"the demo needs programs that are not installed: {', '.join(missing)}")
    if _is_running(root):
        return _refuse(
            f"a demo that was kept is still running in {root}; end it first:\n  {_stop_line(root)}"
        )
    if root.exists() and not (root / MARK).exists() and any(root.iterdir()):
        return _refuse(f"{root} holds something that the demo did not make: give another --dir")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return _play(root, keep=os.environ.get("KEEP", "") not in ("", "0"))


def _default_dir() -> str:
    """`.demo` in the checkout; where that path has spaces or worse, which a mirror's address may
    not have, a folder for temporary files.
    """
    here = ROOT / ".demo"
    return str(
        here
        if _PLAIN_PATH.fullmatch(str(here))
        else Path(tempfile.gettempdir()) / f"git-kv-demo-{os.getuid()}"
    )


def _play(root: Path, *, keep: bool) -> int:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True, mode=0o700)
    (root / MARK).touch()
    stage = Stage(root, Screen(str(root)))
    started = time.monotonic()
    kept = False
    try:
        _act(stage, keep=keep)
        _summarise(stage, time.monotonic() - started)
        kept = keep
        if kept:
            _invite(stage)
        return 0
    except Deviation as deviation:
        _complain(stage, deviation)
        return 1
    except KeyboardInterrupt:
        stage.screen.say("interrupted", "bad")
        return EXIT_INTERRUPTED
    finally:
        if not kept:
            stage.end()
            _clean(root)


def _act(stage: Stage, *, keep: bool) -> None:
    """Every scene, and the end of Stargate unless it is kept. Raises Deviation."""
    stage.screen.say(
        "git-kv: state as code. Commits are transactions. Git is the database.", "scene"
    )
    cast = engage(stage)
    for scene in STORY:
        scene(stage, cast)
    if not keep:
        stage.screen.command("operator", "kill %1")
        code = stage.end()
        stage.expect(code == 0, "Stargate to end with 0 on SIGTERM", code)
        stage.saw("Stargate told to stop", "drained, exit code 0")


def _complain(stage: Stage, deviation: Deviation) -> None:
    stage.screen.say("\nThe demo went another way than expected.", "bad")
    stage.screen.say(str(deviation))
    if stage.log.exists():
        stage.screen.say("The last lines of Stargate's log:", "bad")
        stage.screen.say("\n".join(stage.log.read_text(errors="replace").split("\n")[-15:]))


def _summarise(stage: Stage, seconds: float) -> None:
    """The table of what was seen: printed, and kept in the summary file."""
    screen = stage.screen
    screen.scene(
        "Summary",
        f"Everything went as expected, in {seconds:.1f} s. Times are those of whole commands, "
        "start-up included.",
    )
    width = max(len(seen.what) for seen in stage.seen)
    for seen in stage.seen:
        screen.say(
            f"  {seen.what:<{width}}  {f'{seen.seconds:6.2f} s' if seen.seconds else ' ' * 8}  "
            f"{seen.outcome}"
        )
    tools = (
        stage.quietly("git", "kv", "--version"),
        stage.quietly("git", "--version"),
        f"Python {platform.python_version()}",
    )
    versions = ", ".join(tool.strip() for tool in tools)
    lines = [
        "# What the demo saw",
        "",
        f"{versions}, {os.cpu_count()} cores; {seconds:.1f} s in all.",
        "",
    ]
    lines += ["| what | time | outcome |", "|---|---|---|"]
    lines += [
        f"| {seen.what} | {f'{seen.seconds:.2f} s' if seen.seconds else ''} | {seen.outcome} |"
        for seen in stage.seen
    ]
    (stage.root / SUMMARY).write_text("\n".join(lines) + "\n")
    sys.stdout.write(f"\nThis table is kept in {os.path.relpath(stage.root / SUMMARY)}\n")


def _invite(stage: Stage) -> None:
    """How to play with a world that was kept."""
    for name in ("alice", "bob"):
        home = stage.root / name
        settings = {
            "HOME": str(home),
            "GIT_CONFIG_GLOBAL": f"{home}/.gitconfig",
            "GIT_CONFIG_NOSYSTEM": "1",
            "PATH": stage.base_env()["PATH"],
        }
        lines = [f"export {variable}={shlex.quote(value)}" for variable, value in settings.items()]
        (home / "shell.rc").write_text(
            "\n".join(
                ["unset ${!GIT_*}", *lines, f"cd {shlex.quote(f'{home}/store')}", f"PS1='{name}$ '"]
            )
            + "\n"
        )
    assert stage.daemon is not None
    (stage.root / "stargate.pid").write_text(f"{stage.daemon.pid}\n")
    where = shlex.quote(os.path.relpath(stage.root))
    text = f"""
Stargate goes on running. Be alice (or bob) in a shell of her own, and leave it with `exit`:
  bash --rcfile {where}/alice/shell.rc
There, try:
  git kv list --prefix flag:0001 -l
  git kv set team:hello world
  git kv history team:hello
  git kv get team:hello --read-from=stargate
  git kv help
Watch Stargate:  tail -f {where}/stargate.log
End it all:      {_stop_line(stage.root)}
"""
    sys.stdout.write(text)


def _stop_line(root: Path) -> str:
    where = shlex.quote(os.path.relpath(root))
    return f"kill $(cat {where}/stargate.pid) && rm -rf {where}"


def _is_running(root: Path) -> bool:
    """Whether the daemon of a kept demo still holds its lock."""
    lock = root / "gate.git" / "kv" / "daemon.lock"
    if not lock.exists():
        return False
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _refuse(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return 1


def _clean(root: Path) -> None:
    """Removes everything but the summary, and the mark by which the next run knows the
    directory.
    """
    for path in root.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in (SUMMARY, MARK):
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
