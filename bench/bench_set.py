"""One key: `git kv set` through Stargate, against `git add`, `commit -S` and `push` to a bare
repository that checks nothing.
"""

from __future__ import annotations

from pathlib import Path

from bench.measure import Case, Outcome, Row, interleave, median, p95, seconds_of
from bench.servers import SshServer, asyncssh_server, openssh_server
from bench.stage import PlainGit, Stage, batch, kv, pairs, stage

ROUNDS = 60
KEYS = 100
OURS, ASYNCSSH, OPENSSH = "git kv set", "plain git, asyncssh", "plain git, OpenSSH"


def run(work: Path) -> Outcome:
    with stage(work / "set") as world:
        bob = world.person("bob")
        kv(bob, "mset", "--file", str(batch(world.root / "batch.jsonl", pairs(KEYS, "app"))))
        with (
            asyncssh_server(world.root / "asyncssh", bob) as fast,
            openssh_server(world.root / "openssh", bob) as usual,
        ):
            cases: dict[str, Case] = {
                OURS: lambda at: _set(world, at),
                ASYNCSSH: _plain(world, "asyncssh", fast),
            }
            if usual is not None:
                cases[OPENSSH] = _plain(world, "openssh", usual)
            samples = interleave(cases, ROUNDS, warmups=2)
    notes = [
        "Whole commands by the wall clock: the same ssh client and options, the same ed25519 key, "
        "SSH signatures on both sides; "
        f"both stores hold {KEYS} keys. Plain git is three commands, as a user types them; its "
        "server checks nothing."
    ]
    notes.append(
        "Stargate acknowledges TCP segments at once, which spares stock ssh clients waits of 40 ms "
        "during the log-in; the peers are "
        "as they come. Its push to the mirror, after the answer, is waited for outside of the "
        "measurement."
    )
    if OPENSSH not in samples:
        notes.append(
            "No OpenSSH server here (apt-get install openssh-server): its rows are missing."
        )
    return Outcome(_rows(samples), samples, notes)


def _set(world: Stage, at: int) -> float:
    seconds = seconds_of(
        lambda at: (
            kv(world.person("bob"), "set", "app:g07:item0000007", f"value of round {at}") and None
        ),
        at,
    )
    # What Stargate does after its answer must slow down neither the peers nor the next round
    world.wait_for_mirror()
    return seconds


def _plain(world: Stage, name: str, server: SshServer) -> Case:
    bob = world.person("bob")
    plain = PlainGit(bob, bob.home / name, server.repository(f"{name}.git", bob))
    plain.write(pairs(KEYS, "app"))
    plain.publish()

    def change(at: int) -> None:
        file = "app/g07/item0000007"
        (plain.directory / file).write_text(f"value of round {at}")
        plain.publish(file)

    return change


def _rows(samples: dict[str, list[float]]) -> list[Row]:
    rows = []
    for peer, limit, aim in ((OPENSSH, 0.5, "≤ 0.5×"), (ASYNCSSH, 1.2, "≤ 1.2×, hoped < 1×")):
        if peer in samples:
            for name, quantile in (("p50", median), ("p95", p95)):
                rows.append(
                    Row(
                        f"set, {name}, vs {peer}",
                        aim,
                        quantile(samples[OURS]),
                        quantile(samples[peer]),
                        limit,
                    )
                )
    return rows
