"""How every writing verb answers: the ledger commit on stdout, or all facts of the write in
JSON.
"""

from __future__ import annotations

from gitkv.cli.output import put_json, put_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.cli.context import Context
    from gitkv.client.values import Written


_UNCHANGED = "the store already holds this value"


def put_written(written: Written, context: Context, unchanged: str = _UNCHANGED) -> int:
    """Prints the commit whose state holds the write; when nothing differed, that is the one that
    was there, and `unchanged` says why.
    """
    if context.json:
        put_json(written._asdict())
        return 0
    put_line(written.commit)
    if not written.changed:
        context.note(f"nothing changed: {unchanged}; no commit was made")
    return 0
