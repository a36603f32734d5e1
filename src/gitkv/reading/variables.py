"""Keys as environment variables: which name a key has, and which names nobody may set from a
store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gitkv.errors import PolicyError, UsageError
from gitkv.reading.answers import Value

_OTHER = re.compile(r"[^A-Za-z0-9]")
# What makes a shell, a loader, an interpreter or a tool load or run something else than was asked
# for: whoever may write a key must not run programs on a reader's machine.
_FORBIDDEN = frozenset(
    (
        *("PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND"),
        *("CDPATH", "GLOBIGNORE", "FPATH", "ZDOTDIR", "INPUTRC", "SHELL", "HOME", "USER"),
        *("LOGNAME", "TMPDIR", "EDITOR", "VISUAL", "PAGER", "BROWSER", "MANPAGER", "TERMINFO"),
        *("LESSOPEN", "LESSCLOSE", "NODE_OPTIONS", "NODE_PATH", "CLASSPATH", "MAKEFLAGS"),
        *("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "MAVEN_OPTS", "GRADLE_OPTS"),
        *("LUA_PATH", "LUA_CPATH", "LUA_INIT", "PSMODULEPATH", "GCONV_PATH", "LOCPATH", "NLSPATH"),
        *("HOSTALIASES", "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES", "SSLKEYLOGFILE"),
        "XDG_CONFIG_HOME",
    )
)
_FORBIDDEN_STARTS = (
    *("LD_", "DYLD_", "GIT_", "SSH_", "PYTHON", "PERL", "RUBY", "BASH_FUNC_", "MALLOC_", "GLIBC_"),
    *("GNUPG", "GO111", "GOFLAGS", "CARGO", "RUSTC", "DOTNET_", "COR_", "CORECLR_", "NPM_CONFIG_"),
)


def variable_name(key: str, prefix: str) -> str:
    """The variable of a key: without `prefix`, in capitals, `_` for all but ASCII letters and
    digits; a digit at its start has `_` before it.
    """
    name = _OTHER.sub("_", key.removeprefix(prefix)).upper()
    return f"_{name}" if name[:1].isdigit() else name


def is_forbidden(name: str) -> bool:
    """Whether a variable steers what programs load or run."""
    return name in _FORBIDDEN or name.startswith(_FORBIDDEN_STARTS)


def variables(values: Iterable[Value], prefix: str) -> dict[str, bytes]:
    """The variables of these keys, which begin with `prefix`. Raises UsageError for two keys of one
    name, a key without one, or a value with a NUL; PolicyError for a name that nobody may set from
    a store.
    """
    found: dict[str, bytes] = {}
    keys: dict[str, str] = {}
    for value in values:
        name = variable_name(value.key, prefix)
        if not name:
            raise UsageError(f"key {value.key} has nothing after the prefix to name a variable by")
        if is_forbidden(name):
            raise PolicyError(
                f"key {value.key} would set {name}, which steers what programs load or run",
                hint="choose a narrower --prefix, or give --keep-prefix",
            )
        if name in keys:
            raise UsageError(f"keys {keys[name]} and {value.key} are both {name}")
        if b"\0" in value.value:
            raise UsageError(f"the value of {value.key} holds a NUL byte: no variable can")
        keys[name], found[name] = value.key, value.value
    return found
