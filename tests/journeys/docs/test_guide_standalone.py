"""docs/guide/standalone.md, as printed."""

from __future__ import annotations

from pathlib import Path

from support.page import Page, Shell


def test_a_standalone_store_travels_as_the_page_says(alone: Shell, tmp_path: Path) -> None:
    places = {"git@forge.example:me/store.git": str(tmp_path / "forge.git")}
    page = Page("docs/guide/standalone.md", places)
    top = "A store of your own, and how it travels"
    assert b"cfg:region" in alone.run(page.take(top)).out
    store = alone.cwd
    alone.run(page.take("Sending it elsewhere"))
    alone.cwd = tmp_path / "work"
    brought = alone.run(page.take("Getting it back"))
    assert (
        b"eu-west-1" in brought.out and b"verified main@0..@1" in brought.out + brought.err.encode()
    )
    alone.cwd = store
    assert b"cfg:region" in alone.run(page.take("Backing it up")).out
    page.finish()


def test_a_plain_push_leaves_the_store_behind_and_init_says_so(alone: Shell) -> None:
    made = alone.run("git init -q store && cd store && git kv init")
    assert "refs/kv/*" in made.err, "the advice names the refs to push"
