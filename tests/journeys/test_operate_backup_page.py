"""The commands of docs/operate/backup.md are run as they stand, on a Stargate that was backed up,
wrote on, and lost its disk.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from support.world import World, run, world

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operate" / "backup.md").read_text()


def commands(heading: str, scene: World) -> list[list[str]]:
    """The words of each command under a heading, with the page's example places replaced by
    ours.
    """
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    text = "\n".join(re.findall(r"^    (.*)$", section, re.M)).replace("\\\n", " ")
    ours = {
        "/srv/stargate/store.git": str(scene.gate),
        "git@forge.example:team/store.git": str(scene.mirror),
    }
    ours |= {
        "ssh://git@stargate.example:2222/store.git": scene.url,
        "/srv/backup": str(scene.root / "backup"),
    }
    for example, place in ours.items():
        text = text.replace(example, place)
    return [shlex.split(line, comments=True) for line in text.split("\n")]


def test_a_lost_stargate_comes_back_from_its_backup_and_the_mirror(tmp_path: Path) -> None:
    with world(tmp_path) as scene:
        alice = scene.person("alice").clone()
        alice.kv("set", "cfg:a", "before the backup")
        scene.wait_for_mirror()
        (scene.root / "backup").mkdir()
        for words in commands("Backup, while it runs", scene):
            run(words, alice.env, scene.root)
        alice.kv("set", "cfg:a", "behind the backup")
        scene.wait_for_mirror()
        scene.stop()
        lost = scene.refs(scene.gate)
        shutil.rmtree(scene.gate)
        *restoring, serve = commands("Restoring", scene)
        for words in restoring:
            run(words, alice.env, scene.root)
        assert serve[:4] == ["git", "kv", "stargate", "serve"]
        assert scene.refs(scene.gate) == lost
        scene.start()
        alice.kv("set", "cfg:b", "as if nothing had happened")
        assert alice.kv("get", "cfg:a", "--read-from=stargate").out == b"behind the backup"
        scene.wait_for_mirror()
