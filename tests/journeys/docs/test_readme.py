"""README.md, as printed: what its commands do is what it says."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

from journeys.docs.conftest import shell_of
from support.page import ROOT, Page, Shell, blocks_of

from gitkv.testing.world import World, free_port

MAKE_TARGETS = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M)

NARROW_BOB = """
sed -i 's/^      bob: .*/      bob: {prefixes: ["cfg:", "flag:"]}/' .kv/policy.yaml
git commit -q -S -m 'policy: bob writes cfg: and flag: only' .kv/policy.yaml
git push -q origin HEAD:main
"""


def test_the_readme_is_lived_from_top_to_bottom(tmp_path: Path, tools: Path, alone: Shell) -> None:
    scene = World(tmp_path)
    scene.port, scene.mirror = free_port(), tmp_path / "forge" / "store.git"
    places = {
        "ssh://git@stargate.example:2222/store.git": f"ssh://git@127.0.0.1:{scene.port}/store.git",
        "git@forge.example:team/store.git": str(scene.mirror),
        "/srv/stargate": str(tmp_path / "srv"),
        "0.0.0.0:2222": f"127.0.0.1:{scene.port}",
    }
    page = Page("README.md", places)
    console = page.take("git-kv")
    for line in page.take("git-kv").split("\n")[:-1]:
        assert shlex.split(line, comments=True)[1] in MAKE_TARGETS
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "'.[stargate]'" in page.take("Install") and "stargate" in extras["optional-dependencies"]

    alone.run(f"git init -q {tmp_path / 'single'} && cd {tmp_path / 'single'}")
    assert alone.run(page.take("… a developer alone")).out.endswith(b"on")

    team = page.take("… a developer in a team")
    try:
        alice, bob = _serve(page, scene, tools)
        for shell in (alice, bob):
            shell.run(f"git clone -q {scene.mirror} first && cd first && git kv remote setup")
        alice.run(NARROW_BOB)
        _act(console, {"alice": alice, "bob": bob})
        for shell in (alice, bob):
            shell.cwd = shell.cwd.parent
        (bob.cwd / "batch.jsonl").write_text('{"op":"set","key":"cfg:a","value":"1"}\n')
        bob.run(team.replace("git kv mset", "cp ../batch.jsonl . && git kv mset"))
        alice.env |= {"STORE": str(scene.mirror), "VERSION": "7"}
        assert alice.run(page.take("… CI")).out.endswith(b"7")
        [example] = [block for block in blocks_of("README.md") if block.language == "python"]
        alice.cwd = alice.cwd.parent
        (alice.cwd / "example.py").write_text(example.text.replace("...", "pass"))
        alice.run("(cd store && git kv set flag:dark-mode on) && python example.py")
        assert alice.run("cd store && git kv get cfg:port").out == b"5433"
    finally:
        scene.close()
    page.finish()


def _serve(page: Page, scene: World, tools: Path) -> tuple[Shell, Shell]:
    """What the operator does; the two developers' shells."""
    people = [scene.person(name) for name in ("alice", "bob")]
    operator = shell_of(people[0], tools)
    operator.run(f"mkdir ~/keys && cp {people[0].public_key} ~/keys/alice.pub && cd ~/keys")
    operator.run(f"cp {people[1].public_key} bob.pub && git init -q --bare {scene.mirror}")
    create, _, serve = page.take("… an operator").rpartition("git-kv stargate serve ")
    made = operator.run(create)
    scene.gate = Path(shlex.split(serve)[0])
    [host_key] = re.findall(r"^.*known_hosts: (.*)$", (made.out.decode() + made.err), re.M)
    scene.known_hosts.write_text(host_key + "\n")
    scene.start()
    scene.wait_for_mirror()
    return shell_of(people[0], tools), shell_of(people[1], tools)


def _act(console: str, shells: dict[str, Shell]) -> None:
    """A transcript: each prompt's command prints what stands below it; commit ids may differ."""
    steps = re.findall(r"^(\w+)\$ (.*)\n((?:(?!\w+\$ ).*\n)*)", console, re.M)
    assert len(steps) > 2
    for who, command, expected in steps:
        done = shells[who].run(command, check=False)
        said = done.out.decode() + done.err
        assert _general(said) == _general(expected), f"{who}$ {command}"


def _general(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", text).strip()
