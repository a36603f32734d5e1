"""What people see who push with stock git: the reasons on `remote:` lines, even where no byte of
the pack was looked at.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.forge import Forge, Unharmed, pack_of

from gitkv.ledger.plan import Put
from gitkv.testing.world import World, run

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.fixture(scope="module")
def stock_clone(world: World, forge: Forge) -> Path:
    """A bare clone of bob's with the current state, and a commit that nobody wants."""
    folder = world.root / "bob" / "stock.git"
    bob = forge.person
    run(["git", "clone", "--quiet", "--mirror", world.url, str(folder)], bob.env, world.root)
    run(["git", "config", "--unset-all", "remote.origin.mirror"], bob.env, folder)
    return folder


def remote_lines(err: str) -> list[str]:
    return [
        line.removeprefix("remote: ").rstrip()
        for line in err.splitlines()
        if line.startswith("remote: ")
    ]


STOCK = {
    "branch": (["refs/kv/main:refs/heads/evil"], "[3 push.ref]"),
    "namespace": (["refs/kv/main:refs/kv/UPPER"], "[3 push.namespace]"),
    "watchlog": (["+refs/kv/main:refs/kv-watchlog/main@e1"], "[3 push.gateway-ref]"),
    "without atomic": (
        ["refs/kv/main:refs/kv/a", "refs/kv/main:refs/kv-index/a"],
        "[3 push.not-atomic]",
    ),
}


@pytest.mark.parametrize(("specs", "reason"), STOCK.values(), ids=STOCK)
def test_stock_git_shows_the_reason(
    stock_clone: Path, world: World, specs: list[str], reason: str
) -> None:
    bob = world.person("bob")

    done = run(["git", "push", world.url, *specs], bob.env, stock_clone, check=False)

    assert done.code != 0
    assert any(line.startswith(reason) for line in remote_lines(done.err)), done.err


def test_stock_git_shows_the_reason_though_its_large_pack_was_never_read(
    stock_clone: Path, world: World
) -> None:
    bob = world.person("bob")
    noise = run(["head", "-c", "25000000", "/dev/urandom"], bob.env, stock_clone).out
    blob = (
        run(["git", "hash-object", "-w", "--stdin"], bob.env, stock_clone, noise)
        .out.decode()
        .strip()
    )
    tree = (
        run(["git", "mktree"], bob.env, stock_clone, f"100644 blob {blob}\tx\n".encode())
        .out.decode()
        .strip()
    )
    commit = run(["git", "commit-tree", "-m", "x", tree], bob.env, stock_clone).out.decode().strip()

    done = run(
        ["git", "push", world.url, f"{commit}:refs/heads/evil"], bob.env, stock_clone, check=False
    )

    assert done.code != 0
    assert any(line.startswith("[3 push.ref]") for line in remote_lines(done.err)), done.err
    assert "[remote rejected]" in done.err


def test_stock_git_that_forces_an_older_state_is_refused(
    stock_clone: Path, world: World, forge: Forge, unharmed: Unharmed
) -> None:
    forge.push_good()
    bob = world.person("bob")
    run(
        [
            "git",
            "fetch",
            "--quiet",
            world.url,
            "refs/kv/main:refs/older/kv",
            "refs/kv-index/main:refs/older/index",
        ],
        bob.env,
        stock_clone,
    )
    forge.push_good()
    unharmed.again()

    done = run(
        [
            "git",
            "push",
            "--force",
            "--atomic",
            world.url,
            "refs/older/kv:refs/kv/main",
            "refs/older/index:refs/kv-index/main",
        ],
        bob.env,
        stock_clone,
        check=False,
    )

    assert done.code != 0
    assert any(line.startswith("[3 push.not-fast-forward]") for line in remote_lines(done.err)), (
        done.err
    )


def test_an_honest_transaction_may_be_pushed_by_stock_git(
    stock_clone: Path, world: World, forge: Forge, unharmed: Unharmed
) -> None:
    bob, forged = world.person("bob"), forge.transaction({b"stock": Put(b"by hand")})
    run(
        [
            "git",
            "fetch",
            "--quiet",
            world.url,
            "refs/kv/main:refs/older/kv",
            "refs/kv-index/main:refs/older/index",
        ],
        bob.env,
        stock_clone,
    )
    run(
        ["git", "index-pack", "--stdin", "--fix-thin"],
        bob.env,
        stock_clone,
        pack_of(forged.objects.values()),
    )
    names = [f"{bytes(update.new).hex()}:{update.ref.decode()}" for update in forged.updates]
    before = world.refs(world.gate)

    done = run(["git", "push", "--atomic", world.url, *names], bob.env, stock_clone)

    assert any("accepted main@" in line for line in remote_lines(done.err)), done.err
    assert world.refs(world.gate) != before
    unharmed.again()
