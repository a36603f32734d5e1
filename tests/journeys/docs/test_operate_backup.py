"""docs/operate/backup.md, as printed: a Stargate that was backed up, then lost its disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from journeys.docs.conftest import shell_of
from support.page import Page

from gitkv.testing.world import world


def test_a_lost_stargate_comes_back_from_its_backup_and_the_mirror(
    tmp_path: Path, tools: Path
) -> None:
    with world(tmp_path) as scene:
        places = {
            "/srv/stargate/store.git": str(scene.gate),
            "git@forge.example:team/store.git": str(scene.mirror),
            "ssh://git@stargate.example:2222/store.git": scene.url,
            "/srv/backup": str(scene.root / "backup"),
        }
        page = Page("docs/operate/backup.md", places)
        alice = scene.person("alice").clone()
        operator = shell_of(alice, tools)
        alice.kv("set", "cfg:a", "before the backup")
        scene.wait_for_mirror()
        (scene.root / "backup").mkdir()
        operator.run(page.take("Backup, while it runs"))
        operator.run(page.take("Backup, while it runs"))
        alice.kv("set", "cfg:a", "after the backup")
        scene.wait_for_mirror()
        scene.stop()
        lost = scene.refs(scene.gate)
        shutil.rmtree(scene.gate)
        restoring, _, serve = page.take("Restoring").rpartition("git-kv stargate serve ")
        operator.run(restoring)
        assert serve.startswith(str(scene.gate))
        assert scene.refs(scene.gate) == lost
        scene.start()
        alice.kv("set", "cfg:b", "as if nothing had happened")
        assert alice.kv("get", "cfg:a", "--read-from=stargate").out == b"after the backup"
        scene.wait_for_mirror()
        page.finish()
