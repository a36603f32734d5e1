"""`git kv remote setup|repair`: make a clone of the mirror read and write, and heal one that
followed a lie.
"""

from __future__ import annotations

from gitkv.cli.output import put_json, put_line, safe
from gitkv.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context

USAGE = "remote setup|repair [--remote NAME] [--gateway-key FINGERPRINT] [--all-chunks]"
NOTES = """\
setup: proves the remote's policy and receipts, sets the fetch refspecs and, where the policy knows
a key of yours, the push URL and the signing key, and fetches the store. Prints what it changed, and
the fingerprint of the gateway's key, with which trust begins: compare it with the operator's.
repair: asks Stargate what receipts prove, drops what the clone trusts beyond that, and keeps it
under refs/kv-rescue."""


def add_arguments(parser: Parser) -> None:
    """Declares the action, the remote and the gateway's key."""
    parser.add_argument("action", choices=["setup", "repair"])
    parser.add_argument(
        "--remote",
        default="",
        metavar="NAME",
        help="the remote that is the mirror (default: origin, or the one that was set up)",
    )
    parser.add_argument(
        "--gateway-key",
        default="",
        metavar="FINGERPRINT",
        help="trust this gateway key and no other: SHA256:...",
    )
    parser.add_argument(
        "--all-chunks",
        action="store_true",
        help="setup: fetch the chunks of all large values, now and with every refresh",
    )


def run(args: Namespace, context: Context) -> int:
    """Prepares a remote, or repairs a clone; returns the exit code."""
    from gitkv.client.trust.memory import parse_pin

    pin = parse_pin(args.gateway_key)
    if args.action == "setup":
        return _setup(args, pin, context)
    if args.all_chunks:
        raise UsageError("--all-chunks is for remote setup")
    return _repair(args.remote, pin, context)


def _setup(args: Namespace, pin: str, context: Context) -> int:
    from gitkv.client.setup import setup_remote

    report = setup_remote(
        context.repository,
        args.remote or "origin",
        context.ns,
        context.env,
        pin,
        all_chunks=args.all_chunks,
    )
    if context.json:
        put_json(report._asdict())
        return 0
    for step in report.steps:
        put_line(safe(step))
    put_line(f"trust begins with the gateway's key {safe(report.gateway)}")
    if report.missing:
        put_line("this clone can read; what stands between it and writing:")
    for line in report.missing:
        put_line(f"  {safe(line)}")
    return 0


def _repair(remote: str, pin: str, context: Context) -> int:
    from gitkv.client.host import Host
    from gitkv.client.repair import repair, repair_source
    from gitkv.client.replica import open_replica
    from gitkv.client.store import namespace_of

    host = Host(context.env, context.warn)
    replica = open_replica(context.repository, namespace_of(context.ns), host)
    try:
        done = repair(replica, repair_source(replica, remote, pin))
    finally:
        replica.close()
    if context.json:
        put_json({**done._asdict(), "dropped": [entry._asdict() for entry in done.dropped]})
        return 0
    for entry in done.dropped:
        place = (
            "a commit that is not a ledger commit"
            if entry.seq is None
            else f"{done.ns}@{entry.seq}"
        )
        put_line(f"dropped {place} {entry.commit}")
    if done.rescue:
        put_line(f"kept it at {done.rescue}")
    if not done.dropped:
        put_line("nothing was dropped")
    put_line(f"{done.ns}@{done.seq} {done.commit} is proved by receipt {done.receipt}")
    return 0
