"""The stage of the benches: a Stargate world that runs the installed program, plain git clones, and
keys to write.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gitkv.testing.world import Done, Person, World, run

BIN = Path(sys.executable).parent
_SPREAD = 2654435761  # Knuth's multiplier: values that differ in many digits


class Stage(World):
    """A world whose people and daemon run the installed git-kv, with compiled modules, and not the
    sources.
    """

    def base_env(self) -> dict[str, str]:
        env = {
            name: value
            for name, value in super().base_env().items()
            if not name.startswith("PYTHON")
        }
        return env | {"PATH": f"{BIN}{os.pathsep}{env['PATH']}"}

    def verify(self, mode: str) -> None:
        """The admin changes when the deep audit happens: before-ack or before-publish."""
        admin = self.person("alice")
        if not admin.clone_dir.exists():
            admin.clone()
        path = admin.clone_dir / ".kv" / "policy.yaml"
        old = path.read_text()
        new = old.replace("verify: before-ack ", f"verify: {mode} ")
        assert new != old
        path.write_text(new)
        admin.git("commit", "--quiet", "-S", "-a", "-m", f"verify {mode}")
        admin.git("push", "--quiet", "origin", "main")


@contextmanager
def stage(root: Path, *, verify: str = "before-ack") -> Iterator[Stage]:
    """A serving Stargate with admin alice and writer bob, who has a clone."""
    root.mkdir(parents=True)
    made = Stage(root)
    made.create()
    try:
        made.start()
        if verify != "before-ack":
            made.verify(verify)
            made.wait_for_mirror()
        made.person("bob").clone()
        yield made
    finally:
        made.close()
        shutil.rmtree(root, ignore_errors=True)


class PlainGit:
    """The same keys as files in a git repository: `git add`, `git commit -S`, `git push` to a bare
    repository without any check.
    """

    def __init__(self, person: Person, directory: Path, url: str) -> None:
        self._person, self.directory = person, directory
        self.git("init", "--quiet", "--initial-branch=main", str(directory), cwd=directory.parent)
        self.git("remote", "add", "origin", url)

    def git(self, *args: str, cwd: Path | None = None) -> Done:
        return self._person.git(*args, cwd=cwd or self.directory)

    def write(self, pairs: Iterable[tuple[str, str]]) -> None:
        """The files alone; git does not know yet."""
        folders = set()
        for key, value in pairs:
            path = self.directory / key.replace(":", "/")
            if path.parent not in folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                folders.add(path.parent)
            path.write_text(value)

    def publish(self, what: str = ".") -> None:
        """The three commands that a user would type."""
        self.git("add", what)
        self.git("commit", "--quiet", "-S", "-m", "change")
        self.git("push", "--quiet", "origin", "main")


def pairs(count: int, tag: str) -> list[tuple[str, str]]:
    """`count` keys in a hundred groups, with values of about 60 bytes."""
    return [
        (
            f"{tag}:g{at % 100:02d}:item{at:07d}",
            f"{tag} {at:07d} {at * _SPREAD % 2**64:020d} state of an item",
        )
        for at in range(count)
    ]


def batch(path: Path, wanted: Iterable[tuple[str, str]]) -> Path:
    """The pairs as a batch for `git kv mset`."""
    path.write_text(
        "".join(
            json.dumps({"op": "set", "key": key, "value": value}) + "\n" for key, value in wanted
        )
    )
    return path


def kv(person: Person, *args: str, cwd: Path | None = None) -> Done:
    """`git kv …` as a user types it."""
    return run(["git", "kv", *args], person.env, cwd or person.clone_dir)
