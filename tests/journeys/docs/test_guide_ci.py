"""docs/guide/ci.md, as printed, on a machine that has nothing."""

from __future__ import annotations

import os
from pathlib import Path

from support.page import Page, Shell

from gitkv.testing.world import world


def test_a_fresh_runner_writes_waits_and_reads(tmp_path: Path, tools: Path) -> None:
    with world(tmp_path) as scene:
        home = tmp_path / "runner"
        home.mkdir()
        runner = Shell(
            scene.base_env()
            | {
                "HOME": str(home),
                "PATH": f"{tools}:{os.environ['PATH']}",
                "STORE": str(scene.mirror),
                "STORE_KEY": scene.person("bob").key.read_text().rstrip("\n"),
                "STORE_HOST_KEY": scene.known_hosts.read_text().rstrip("\n"),
                "VERSION": "1.2.3",
            },
            home,
        )
        page = Page("docs/guide/ci.md", {})
        runner.run(page.take("CI"))
        assert runner.run(page.take("CI")).out.endswith(b"1.2.3")
        page.finish()
