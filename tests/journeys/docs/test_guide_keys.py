"""docs/guide/keys.md, as printed: a key of another name, an agent, and an OpenPGP key."""

from __future__ import annotations

from support.page import Page, Shell


def test_a_new_key_signs_by_file_and_by_agent(alone: Shell) -> None:
    page = Page("docs/guide/keys.md", {})
    alone.run("mkdir -m 700 ~/.ssh && git init -q store && cd store && git kv init")
    made = alone.run(page.take("A new key"))
    assert made.out.startswith(b"ssh-ed25519 ")
    alone.run(page.take("Using it"))
    alone.run("git kv set cfg:b 1")
    by_file = alone.run("git kv log -n 1 --json | grep -o 'SHA256:[^\"]*'").out
    alone.run(page.take("An agent"))
    by_agent = alone.run("git kv log -n 1 --json | grep -o 'SHA256:[^\"]*'").out
    fingerprint = alone.run("ssh-keygen -l -f ~/.ssh/store.pub | cut -d' ' -f2").out
    assert by_file == by_agent == fingerprint
    alone.run(page.take("OpenPGP"))
    page.finish()
