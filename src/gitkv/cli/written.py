"""How every writing verb answers: the ledger commit on stdout, or all facts of the write in JSON;
with --dry-run, what would change.
"""

from __future__ import annotations

from gitkv.cli.output import is_terminal, put_json, put_line, put_lines, safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.cli.context import Context
    from gitkv.client.values import Written


_UNCHANGED = "the store already holds this value"


def put_written(written: Written, context: Context, unchanged: str = _UNCHANGED) -> int:
    """Prints the commit whose state holds the write; when nothing differed, that is the one that
    was there, and `unchanged` says why.
    """
    if context.dry_run:
        return _put_preview(context)
    if context.json:
        put_json(written._asdict())
        return 0
    put_line(written.commit)
    if not written.changed:
        context.note(f"nothing changed: {unchanged}; no commit was made")
    return 0


_LETTERS = {"add": "A", "change": "M", "delete": "D"}


def _put_preview(context: Context) -> int:
    """Prints the keys that would change, as `diff` does. Raises RejectedError when the policy is
    against it; in JSON the reasons stand beside the changes.
    """
    from gitkv.model.verdict import refuse

    store = context.dry_store
    assert store is not None and store.preview is not None
    found, verdict = store.preview, refuse(store.preview.reasons)
    if context.json:
        fields = {"dry_run": True, "commit": found.commit, "seq": found.seq}
        fields |= {"principal": found.principal, "allowed": verdict.accepted}
        changes = [change._asdict() for change in found.changes]
        reasons = [entry._asdict() for entry in found.reasons]
        put_json(fields | {"changes": changes, "reasons": reasons})
        return verdict.exit_code
    shown = safe if is_terminal() else str
    put_lines(f"{_LETTERS[change.op]}\t{shown(change.key)}" for change in found.changes)
    context.note("dry run: nothing was written" + ("" if found.changes else "; nothing differs"))
    if not verdict.accepted:
        from gitkv.errors import RejectedError

        raise RejectedError(verdict)
    return 0
