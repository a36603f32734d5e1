"""What others do to the mirror is found out while the gateway runs: repaired when it is a step
forward, an alarm that names the right ref when it is not.
"""

from __future__ import annotations

import pytest
from support.gateway import Gateway

from gitkv.gateway.followers.mirror import Mirror
from gitkv.git.process import Git
from gitkv.model.configuration import DEFAULTS, MirrorTiming


@pytest.fixture
def served(gateway: Gateway) -> Gateway:
    gateway.restart()
    for _ in range(2):
        assert gateway.push().verdict.accepted
        assert gateway.watch.push_once().state == "pushed"
    return gateway


def _on_mirror(gateway: Gateway, *args: str) -> str:
    git = Git(str(gateway.mirror), env=gateway.env)
    return git.run(*args).stdout.decode().strip()


def _foreign(gateway: Gateway) -> str:
    tree = _on_mirror(gateway, "rev-parse", "refs/kv/main^{tree}")
    return _on_mirror(gateway, "commit-tree", tree, "-m", "not ours")


PUBLISHED = (
    "refs/heads/main",
    "refs/kv/main",
    "refs/kv-index/main",
    "refs/kv-watchlog/main@e1",
    "refs/kv-mirror/main",
)


@pytest.mark.parametrize("ref", PUBLISHED)
def test_a_ref_that_is_lost_on_the_mirror_comes_back_without_a_restart(
    served: Gateway, ref: str
) -> None:
    whole = served.refs(served.mirror)
    _on_mirror(served, "update-ref", "-d", ref)
    assert served.watch.push_once().state == "current", "nothing has told it yet"
    assert served.watch.look_once().state == "current"
    assert served.names("mirror.changed")[-1]["refs"] == [ref]
    assert served.watch.push_once().state == "pushed"
    assert served.refs(served.mirror) == whole


def test_a_mirror_that_was_rewound_is_brought_forward(served: Gateway) -> None:
    whole = served.refs(served.mirror)
    for ref in ("refs/kv/main", "refs/kv-index/main"):
        _on_mirror(served, "update-ref", ref, f"{ref}~1")
    served.watch.look_once()
    assert served.watch.push_once().state == "pushed"
    assert served.refs(served.mirror) == whole


def test_the_next_push_alone_repairs_what_was_lost(served: Gateway) -> None:
    """Its answer tells of every ref, not only of those that moved here."""
    _on_mirror(served, "update-ref", "-d", "refs/heads/main")
    assert served.push().verdict.accepted
    assert served.watch.push_once().state == "pushed"
    assert served.refs(served.mirror)["refs/heads/main"] == served.refs()["refs/heads/main"]


@pytest.mark.parametrize("ref", PUBLISHED[:4])
def test_an_alarm_names_the_ref_that_diverged_and_no_other(served: Gateway, ref: str) -> None:
    _on_mirror(served, "update-ref", ref, _foreign(served))
    looked = served.watch.look_once()
    assert served.push().verdict.accepted, "a running gateway knows that it is the newest"
    pushed = served.watch.push_once()
    for outcome in (looked, pushed):
        assert outcome.state == "diverged"
        assert [name for name in PUBLISHED if f"{name} at" in outcome.detail] == [ref]


def test_the_worker_looks_by_itself_every_few_minutes(served: Gateway) -> None:
    now = [0.0]
    worker = Mirror(
        served.stargate.mirroring, served.remote(), MirrorTiming(interval_s=0), lambda: now[0]
    )
    worker.step()
    whole = served.refs(served.mirror)
    _on_mirror(served, "update-ref", "-d", "refs/kv/main")
    worker.step()
    assert "refs/kv/main" not in served.refs(served.mirror), "nothing has told it yet"
    now[0] += DEFAULTS.mirror.look_every_s
    worker.step()
    assert served.refs(served.mirror) == whole


@pytest.mark.parametrize(("ref", "ns"), [("refs/heads/main", ""), ("refs/kv-index/main", "main")])
def test_the_end_of_an_alarm_is_told_once(served: Gateway, ref: str, ns: str) -> None:
    """A mirror that was repaired to what we have needs no push, which would tell it."""
    now = [0.0]
    worker = Mirror(
        served.stargate.mirroring, served.remote(), MirrorTiming(interval_s=0), lambda: now[0]
    )
    worker.step()
    before = served.refs(served.mirror)[ref]
    _on_mirror(served, "update-ref", ref, _foreign(served))
    for _ in range(3):
        now[0] += DEFAULTS.mirror.look_every_s
        worker.step()
    assert served.names("mirror.diverged") and not served.names("mirror.recovered")
    _on_mirror(served, "update-ref", ref, before)
    for _ in range(3):
        now[0] += DEFAULTS.mirror.look_every_s
        worker.step()
    assert served.names("mirror.recovered") == [{"ns": ns}]


def test_only_the_mirror_sees_the_operators_configuration(gateway: Gateway) -> None:
    """Credential helpers, proxies and addresses in short are the operator's, and legitimate."""
    config = gateway.root / "operator.gitconfig"
    config.write_text(f'[url "{gateway.root}/"]\n\tinsteadOf = "forge:"\n')
    gateway.restart({"GIT_CONFIG_GLOBAL": str(config)})
    worker = Mirror(
        gateway.stargate.mirroring, gateway.remote("forge:mirror.git"), MirrorTiming(interval_s=0)
    )
    assert worker.look_once().state == "current"
    assert gateway.push().verdict.accepted
    assert worker.push_once().state == "pushed"
    assert gateway.refs(gateway.mirror)["refs/kv/main"] == gateway.tip().ledger.oid.hex()
    sealed = gateway.git.run("config", "--list").stdout
    assert b"insteadof" not in sealed
