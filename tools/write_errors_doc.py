"""Writes docs/errors.md from the classes in gitkv.errors: what each family means, its exit code and
its retry class.

`--stdout` prints the page instead, for the test that compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import getdoc
from pathlib import Path

from gitkv import errors

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"

HEAD = """\
# Errors and exit codes

Generated from `src/gitkv/errors.py` by `make docs`; do not edit.

Every error the SDK raises is a `GitKvError`. A class says what the caller does next; its exit
code is what `git kv` ends with. Retry: `never` — the same call fails the same way; `reload` — read
the new state, decide again, retry; `later` — the call is fine, the world is not ready.

| error | kind of | exit code | retry | meaning |
|---|---|---|---|---|
"""

TAIL = """
Codes that no error class carries: 0 success, 1 also when `diff` finds differences, 130
interrupted, 141 the reader of stdout went away. Codes 6 and 11 are not used.
"""


def main(arguments: list[str]) -> int:
    page = HEAD + "".join(_row(error) for error in _family(errors.GitKvError)) + TAIL
    if arguments == ["--stdout"]:
        sys.stdout.write(page)
    else:
        PAGE.write_text(page, encoding="utf-8")
    return 0


def _family(root: type[errors.GitKvError]) -> Iterator[type[errors.GitKvError]]:
    """The class and all below it, in the order of the source."""
    yield root
    for child in root.__subclasses__():
        yield from _family(child)


def _row(error: type[errors.GitKvError]) -> str:
    kind = next(parent.__name__ for parent in error.__mro__[1:] if issubclass(parent, Exception))
    code = error.exit_code if isinstance(error.exit_code, int) else "the verdict's"
    meaning = " ".join((getdoc(error) or "").split())
    return f"| `{error.__name__}` | `{kind}` | {code} | {error.retry} | {meaning} |\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
