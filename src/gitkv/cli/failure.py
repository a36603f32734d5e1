"""How an error looks: `error:` and `hint:` lines on stderr, or one JSON object there, and the exit
code.
"""

from __future__ import annotations

from gitkv.cli.context import write_stderr
from gitkv.errors import GitKvError, ToolError
from gitkv.model.address import redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitkv.model.verdict import Reason


def report(error: Exception, *, as_json: bool, debug: bool) -> int:
    """Prints the error and returns the exit code it stands for."""
    lines = _trace(error) if debug else []
    if as_json:
        from json import dumps

        lines.append(dumps(_fields(error)))
    else:
        lines += _lines(error)
    write_stderr("".join([f"{line}\n" for line in lines]))
    return _code(error)


def _trace(error: Exception) -> list[str]:
    from traceback import format_exception

    from gitkv.cli.output import safe

    text = redact("".join(format_exception(error)))
    return [safe(line) for line in text.splitlines()]


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


def _kind(error: Exception) -> str:
    """The class of docs/errors.md that says what the caller does next."""
    if isinstance(error, (OSError, MemoryError)):
        return ToolError.__name__
    kind = getattr(error, "kind", type(error))
    return next(
        (parent.__name__ for parent in kind.__mro__ if parent.__module__ == GitKvError.__module__),
        GitKvError.__name__,
    )


def _reasons(error: Exception) -> Sequence[Reason]:
    """What a RejectedError or a refused batch has to say, reason by reason."""
    reasons: Sequence[Reason] = getattr(getattr(error, "verdict", error), "reasons", ())
    return reasons


def _lines(error: Exception) -> list[str]:
    from gitkv.cli.output import safe

    reasons = _reasons(error)
    if reasons:
        lines = [f"error: {safe(reason._replace(hint='').text())}" for reason in reasons]
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
        "kind": _kind(error),
        "retry": getattr(error, "retry", "never"),
        "hint": _hint(error),
        "reasons": [reason._asdict() for reason in _reasons(error)],
    }
    for name in ("expected", "actual", "expires"):
        if hasattr(error, name):
            fields[name] = getattr(error, name)
    return fields
