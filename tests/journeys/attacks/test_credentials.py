"""An address with a password or a token in it: refused wherever git-kv would keep or publish it,
and shown nowhere, not even when it is the person's own.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gitkv.testing.world import World

SECRET = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


@pytest.mark.parametrize(
    "address",
    [
        f"https://robot:{SECRET}@git.invalid/store.git",
        f"https://{SECRET}@git.invalid/store.git",
        f"https://{SECRET}:x-oauth-basic@git.invalid/store.git",
        f"https://robot:{SECRET}@[::1]/store.git",
        f"HTTPS://robot:{SECRET}@git.invalid/store.git",
        f"http://robot:{SECRET}@git.invalid/store.git",
        f"ssh://robot:{SECRET}@git.invalid/store.git",
        f"git+ssh://robot:{SECRET}@git.invalid/store.git",
        f"robot:{SECRET}@git.invalid:team/store.git",
        f"file://robot:{SECRET}@/srv/store.git",
        f"https://git.invalid/store.git?private_token={SECRET}",
        f"https://robot%3A{SECRET}@git.invalid/store.git",
    ],
)
@pytest.mark.parametrize("option", ["--mirror", "--push-url"])
def test_a_gateway_is_not_founded_on_an_address_with_a_secret(
    tmp_path: Path, option: str, address: str
) -> None:
    scene = World(tmp_path)
    alice = scene.person("alice")
    mirror = tmp_path / "mirror.git"
    alice.git("init", "--quiet", "--bare", str(mirror))
    words = {"--mirror": str(mirror), "--push-url": "ssh://git@127.0.0.1:2222/gate.git"}
    words[option] = address
    done = alice.kv(
        "stargate",
        "init",
        str(scene.gate),
        *(word for pair in words.items() for word in pair),
        "--admin",
        f"alice={alice.public_key}",
        check=False,
    )
    assert done.code == 3
    assert SECRET not in done.err + done.out.decode()
    assert not scene.gate.exists()
    assert scene.refs(mirror) == {}
    if option == "--mirror" and "://" in address and "?" not in address:
        assert "credential" in done.err


def test_a_secret_in_a_clones_own_settings_is_used_and_not_shown(tmp_path: Path) -> None:
    scene = World(tmp_path).create()
    alice = scene.person("alice").clone()
    for setting in ("remote.origin.url", "remote.origin.pushurl"):
        alice.git("config", setting, f"https://robot:{SECRET}@127.0.0.1:1/store.git")
    alice.git("config", "kv.maxAge", "0")
    said = []
    for words in (
        ("get", "k", "--read-from=stargate"),
        ("get", "k"),
        ("set", "k", "v"),
        ("wait", "--oid", "0" * 40, "--timeout", "0s"),
        ("wait", "--oid", "0" * 40, "--timeout", "0s", "--visible-on=stargate"),
        ("remote", "setup"),
        ("list",),
        ("verify",),
    ):
        for form in ([], ["--json"], ["--debug"]):
            done = alice.kv(*words, *form, check=False)
            said.append(done.out.decode() + done.err)
    assert "127.0.0.1" in "".join(said)
    assert SECRET not in "".join(said)


def test_a_gateway_does_not_serve_with_a_secret_in_its_mirrors_address(tmp_path: Path) -> None:
    scene = World(tmp_path).create()
    alice = scene.person("alice")
    alice.git(
        "config",
        "stargate.mirror",
        f"https://robot:{SECRET}@127.0.0.1:1/store.git",
        cwd=scene.gate,
    )
    done = alice.kv("stargate", "serve", str(scene.gate), "--ssh", "127.0.0.1:0", check=False)
    assert done.code == 3
    assert "credential" in done.err
    assert SECRET not in done.err
    unit = (Path(__file__).parents[3] / "docs" / "operate" / "stargate.md").read_text()
    assert "\nRestartPreventExitStatus=3 8 129\n" in unit  # a restart would end in the same way
