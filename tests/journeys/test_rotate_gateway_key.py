"""Changing the gateway's key as docs/operate/policy.md says, from an admin's clone and the
operator's machine; whoever judges the history later believes all of it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from gitkv.testing.world import Person, World, run, world


def _key(scene: World, name: str) -> tuple[Path, str]:
    path = scene.root / name
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(make, check=True)
    return path, path.with_suffix(".pub").read_text().strip()


def _change_policy(alice: Person, old: str, new: str) -> int:
    """With stock git, as an admin does; git's exit code."""
    alice.git("pull", "--quiet", "--rebase", "origin", "main")
    path = alice.clone_dir / ".kv" / "policy.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    alice.git("commit", "--quiet", "-S", "-am", "policy: gateway keys")
    done = alice.git("push", "--quiet", "origin", "HEAD:refs/heads/main", check=False)
    if done.code != 0:
        assert "policy.gateway-key-in-use" in done.err
        alice.git("reset", "--quiet", "--hard", "HEAD~1")
    return done.code


def test_a_gateway_key_is_rotated_and_verify_passes_over_all_of_it(tmp_path: Path) -> None:
    with world(tmp_path) as scene:
        alice = scene.person("alice").clone()
        alice.kv("set", "cfg:a", "under the old key")
        policy = (alice.clone_dir / ".kv" / "policy.yaml").read_text()
        line = next(line for line in policy.split("\n") if line.startswith("    - ssh-ed25519 "))
        private, public = _key(scene, "new_key")
        added = line + f"\n    - {public}"
        assert _change_policy(alice, line, f"    - {public}") != 0
        assert _change_policy(alice, line, added) == 0
        alice.kv("set", "cfg:b", "still the old key")
        assert scene.stop() == 0
        shutil.copy(private, scene.gate / "kv" / "gateway_key")
        scene.start()
        alice.kv("set", "cfg:c", "under the new key")
        scene.wait_for_mirror()
        assert _change_policy(alice, line + "\n", "") == 0
        alice.kv("set", "cfg:d", "the old key is gone")
        scene.wait_for_mirror()
        alice.git("pull", "--quiet", "origin", "main")
        verified = alice.kv("verify", check=False)
        assert verified.code == 0, verified
        assert scene.stop() == 0
        scene.start()


def test_a_key_file_the_policy_does_not_list_ends_the_start_with_8(tmp_path: Path) -> None:
    with world(tmp_path) as scene:
        scene.stop()
        private, _ = _key(scene, "stranger")
        shutil.copy(private, scene.gate / "kv" / "gateway_key")
        line = [sys.executable, "-m", "gitkv", "stargate", "serve", str(scene.gate)]
        done = run([*line, "--ssh", "127.0.0.1:0"], scene.base_env(), scene.root, check=False)
        assert done.code == 8 and "gateway_keys" in done.err and "Traceback" not in done.err
