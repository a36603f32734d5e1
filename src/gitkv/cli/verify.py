"""`git kv verify`: re-verifies the ledger, offline, and says what is wrong with it."""

from __future__ import annotations

from gitkv.cli.output import put_json, put_lines, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.verifying.history import Verified

USAGE = "verify [--from REV] [--to REV] [--no-chunks] [--anchor FINGERPRINT|RECEIPT|COMMIT]..."
NOTES = (
    "Reads this clone only: every commit, signature, receipt, index line and value. Exit code 8: "
    "something is wrong, and what; 5: something could not be judged here, and what to fetch.\n"
    "The fingerprint of the gateway's key is where all trust begins: compare it with what the "
    "operator says, or give it as an anchor."
)
_WRONG, _UNJUDGED = 8, 5


def add_arguments(parser: Parser) -> None:
    """Declares the range of the history and its anchors."""
    parser.add_argument(
        "--from",
        dest="since",
        default="",
        metavar="REV",
        help="trust the state REV, and begin after it",
    )
    parser.add_argument(
        "--to", default="", metavar="REV", help="end with REV (default: the newest)"
    )
    parser.add_argument(
        "--no-chunks",
        dest="with_chunks",
        action="store_false",
        help="do not look at the chunks of large values; the answer says so",
    )
    parser.add_argument(
        "--anchor",
        dest="anchors",
        action="append",
        default=[],
        metavar="FINGERPRINT|RECEIPT|COMMIT",
        help="what must be in the history: the gateway's first key (SHA256:…), a receipt, a commit "
        "(40 hex digits); may be repeated",
    )


def run(args: Namespace, context: Context) -> int:
    """Re-verifies the history; returns the exit code of the worst finding."""
    with context.open_store() as store:
        found = store.verify(
            args.since, args.to, anchors=args.anchors, with_chunks=args.with_chunks
        )
    if context.json:
        put_json(
            {
                **found._asdict(),
                "verified": not found.reasons and not found.unjudged,
                "unjudged": [entry._asdict() for entry in found.unjudged],
                "reasons": [entry._asdict() for entry in found.reasons],
            }
        )
    elif found.reasons or found.unjudged:
        _complain(found, context)
    else:
        put_lines(_summary(found))
    return _WRONG if found.reasons else _UNJUDGED if found.unjudged else 0


def _complain(found: Verified, context: Context) -> None:
    for entry in found.reasons:
        context.note(f"error: {entry._replace(hint='').text()}")
    for gap in found.unjudged:
        context.note(f"error: could not judge {safe(gap.what)}")
    for hint in dict.fromkeys(entry.hint for entry in found.reasons if entry.hint):
        context.note(f"hint: {hint}")
    for gap in found.unjudged:
        context.note(f"hint: {safe(gap.hint)}")
    if found.reasons:
        context.note(
            f"hint: {found.ns}@{found.first}..@{found.last} is not to be believed as it stands "
            "here; tell the operator"
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
    if found.standalone:
        lines.append("standalone: this repository is its own authority, nobody gives receipts")
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
    if found.chunks_unread:
        brought = _count(found.chunks_unread, "transaction")
        lines.append(f"not looked at: the chunks that {brought} brought")
    if found.anchors:
        lines.append(f"{_count(len(found.anchors), 'anchor')} found")
    return lines


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
