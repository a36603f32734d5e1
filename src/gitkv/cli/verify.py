"""`git kv verify`: decides the ledger again, offline, and says what is wrong with it."""

from __future__ import annotations

from gitkv.cli.output import put_json, put_lines, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.verify import Verified

USAGE = "verify [--from REV] [--to REV]"
NOTES = (
    "Reads this clone only: every commit, signature, receipt, index line and value. Exit code 8: "
    "something is wrong, and what.\n"
    "The fingerprint of the gateway's key is where all trust begins: compare it with what the "
    "operator says."
)


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--from",
        dest="since",
        default="",
        metavar="REV",
        help="trust the state REV, and begin behind it",
    )
    parser.add_argument(
        "--to", default="", metavar="REV", help="end with REV (default: the newest)"
    )


def run(args: Namespace, context: Context) -> int:
    with context.open_store() as store:
        found = store.verify(args.since, args.to)
    if context.json:
        put_json(
            {
                **found._asdict(),
                "verified": not found.reasons,
                "reasons": [entry._asdict() for entry in found.reasons],
            }
        )
    elif found.reasons:
        _complain(found, context)
    else:
        put_lines(_summary(found))
    return 8 if found.reasons else 0


def _complain(found: Verified, context: Context) -> None:
    for entry in found.reasons:
        context.note(f"error: {entry._replace(hint='').text()}")
    for hint in dict.fromkeys(entry.hint for entry in found.reasons if entry.hint):
        context.note(f"hint: {hint}")
    context.note(
        f"hint: {found.ns}@{found.first}..@{found.last} is not to be believed as it stands here; "
        "tell the operator"
    )


def _summary(found: Verified) -> list[str]:
    parts = [
        _count(found.transactions, "transaction"),
        _count(len(found.signers), "signer"),
        _count(found.receipts, "receipt"),
    ]
    if found.without_receipt:
        parts.append(f"{found.without_receipt} without receipt yet")
    lines = [f"verified {found.ns}@{found.first}..@{found.last}: {', '.join(parts)}"]
    if found.signers:
        lines.append(
            "signed by "
            + safe(", ".join(f"{name} ({count})" for name, count in found.signers.items()))
        )
    elif not found.policies:
        lines.append("there is no policy here: signatures were not judged")
    if found.gateway:
        lines.append(
            f"{_count(found.policies, 'policy', 'policies')}, from the gateway's key "
            f"{found.gateway} on"
        )
    return lines


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
