"""How an error looks: `error:` and `hint:` lines on stderr, or one JSON object there, and the exit
code.
"""

from __future__ import annotations

import sys

from gitkv.errors import GitKvError
from gitkv.model.address import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitkv.model.verdict import Reason


def report(error: Exception, *, as_json: bool, debug: bool) -> int:
    """Prints the error and returns the exit code it stands for."""
    if sys.stderr is None:
        return _code(error)
    if debug:
        from traceback import format_exception

        sys.stderr.write(redact("".join(format_exception(error))))
    if as_json:
        from json import dumps

        lines = [dumps(_fields(error))]
    else:
        lines = _lines(error)
    sys.stderr.write("".join([f"{line}\n" for line in lines]))
    return _code(error)


def _code(error: Exception) -> int:
    return error.exit_code if isinstance(error, GitKvError) else 5


def _message(error: Exception) -> str:
    """In words, and without the credentials that an address in them may have."""
    return redact(_words(error))


def _words(error: Exception) -> str:
    if isinstance(error, GitKvError):
        return str(error)
    if isinstance(error, OSError):
        place = error.filename if error.filename is not None else ""
        return f"{place}: {error.strerror or error}" if place else str(error.strerror or error)
    if isinstance(error, MemoryError):
        return "out of memory"
    return f"unexpected {type(error).__name__}: {error}"


def _hint(error: Exception) -> str:
    if isinstance(error, GitKvError):
        return redact(error.hint)
    return (
        ""
        if isinstance(error, (OSError, MemoryError))
        else "this is a defect of git-kv; --debug shows where it happened"
    )


def _reasons(error: Exception) -> Sequence[Reason]:
    """What a RejectedError or a refused batch has to say, reason by reason."""
    reasons: Sequence[Reason] = getattr(getattr(error, "verdict", error), "reasons", ())
    return reasons


def _lines(error: Exception) -> list[str]:
    from gitkv.cli.output import safe

    reasons = _reasons(error)
    if reasons:
        lines = [f"error: {reason._replace(hint='').text()}" for reason in reasons]
        hints = [reason.hint for reason in reasons]
    else:
        lines = [f"error: {safe(line)}" for line in _message(error).split("\n") if line.strip()]
        hints = []
    hints += _hint(error).split("\n")
    return lines + [f"hint: {safe(hint)}" for hint in dict.fromkeys(hints) if hint]


def _fields(error: Exception) -> dict[str, object]:
    fields: dict[str, object] = {
        "error": _message(error),
        "code": _code(error),
        "kind": type(error).__name__,
        "retry": getattr(error, "retry", "never"),
        "hint": _hint(error),
        "reasons": [reason._asdict() for reason in _reasons(error)],
    }
    for name in ("expected", "actual"):
        if hasattr(error, name):
            fields[name] = getattr(error, name)
    return fields
