"""docs/guide/reading.md and docs/guide/configuration.md, as printed."""

from __future__ import annotations

from pathlib import Path

from support.page import Page, Shell

from gitkv.testing.world import world


def test_a_reader_without_a_key_reads_and_an_auditor_verifies(
    tmp_path: Path, tools: Path, alone: Shell
) -> None:
    with world(tmp_path) as scene:
        alice = scene.person("alice").clone()
        alice.kv("set", "cfg:region", "eu-west-1")
        alice.kv("set", "cfg:region", "eu-west-2")
        scene.wait_for_mirror()
        (tmp_path / "work" / "store.git").symlink_to(scene.mirror)
        page = Page("docs/guide/reading.md", {"git@forge.example:team/store.git": "store.git"})
        reader = Shell(alone.env, tmp_path / "work")
        assert reader.run(page.take("A reader")).out.endswith(b"eu-west-1")
        assert reader.run(page.take("A reader")).out == b"eu-west-2"
        reader.run(page.take("A reader"))
        auditor = Shell(alone.env, tmp_path / "work")
        first = auditor.run(page.take("An auditor"))
        assert b"verified main@0..@2" in first.out + first.err.encode()
        auditor.run(page.take("An auditor"))
        assert b"cfg:region" in auditor.run(page.take("An auditor")).out
        page.finish()


def test_the_settings_are_set_as_the_page_says(alone: Shell) -> None:
    page = Page("docs/guide/configuration.md", {})
    alone.run("git init -q store && cd store && git kv init")
    listed = alone.run(page.take("Settings of a clone")).out
    assert b"kv.maxage 30s" in listed and b"standalone" in listed
    page.finish()
