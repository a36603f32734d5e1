"""docs/operate/stargate.md and docs/operate/policy.md, as printed."""

from __future__ import annotations

import shlex
from pathlib import Path

from journeys.docs.conftest import shell_of
from support.page import Page

from gitkv.testing.world import World, free_port, world


def test_a_stargate_is_created_and_served_as_its_page_says(tmp_path: Path, tools: Path) -> None:
    scene = World(tmp_path)
    scene.port = free_port()
    places = {
        "ssh://git@stargate.example:2222/store.git": f"ssh://git@127.0.0.1:{scene.port}/store.git",
        "git@forge.example:team/store.git": str(scene.mirror),
        "/srv/stargate": str(tmp_path / "srv"),
        "0.0.0.0:2222": f"127.0.0.1:{scene.port}",
    }
    page = Page("docs/operate/stargate.md", places)
    alice, bob = scene.person("alice"), scene.person("bob")
    operator = shell_of(alice, tools)
    operator.run(
        f"git init -q --bare {scene.mirror} && mkdir keys && cd keys"
        f" && cp {alice.public_key} alice.pub && cp {bob.public_key} bob.pub"
    )
    made = operator.run(page.take("init"))
    assert f"[127.0.0.1]:{scene.port} ssh-ed25519 " in made.out.decode() + made.err
    operator.run(page.take("init"))
    scene.gate = Path(shlex.split(page.take("serve").partition(" serve ")[2])[0])
    try:
        scene.start()
        scene.wait_for_mirror()
        assert scene.stop() == 0
    finally:
        scene.close()
    page.finish()


def test_an_admin_changes_the_policy_as_its_page_says(tmp_path: Path, tools: Path) -> None:
    with world(tmp_path) as scene:
        page = Page("docs/operate/policy.md", {"git@forge.example:team/store.git": "store.git"})
        admin = shell_of(scene.person("alice"), tools)
        admin.env["EDITOR"] = str(tools / "editor")
        (tools / "editor").write_text(
            '#!/bin/sh\nexec sed -i \'s/^      bob: {}/      bob: {prefixes: ["cfg:"]}/\' "$1"\n'
        )
        (tools / "editor").chmod(0o755)
        admin.run(f"ln -s {scene.mirror} store.git")
        admin.run(page.take("Keys and policy changes"))
        bob = scene.person("bob").clone()
        assert bob.kv("set", "cfg:a", "1").code == 0
        assert bob.kv("set", "release:web", "1", check=False).code == 3
        page.finish()
