"""git-kv: an auditable, versioned key-value store that uses Git as the database.

    import gitkv
    with gitkv.open("path/to/repository") as store:
        store["greeting"] = b"hello"

Everything a program needs is here; `docs/sdk.md` shows it at work. Names load their modules when
they are first used: `import gitkv` stands at the start of every command, and of every program that
may not come to open a store.
"""

from __future__ import annotations

from gitkv.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.client.store import (
        Changed,
        Entry,
        Expect,
        Logged,
        Put,
        Revision,
        Store,
        Value,
        Written,
    )
    from gitkv.errors import (
        ConflictError,
        ExpiredError,
        GitKvError,
        IntegrityError,
        KeyInvalidError,
        KeyNotFoundError,
        MirrorTimeoutError,
        NotLeaderError,
        PolicyError,
        RejectedError,
        ToolError,
        UnavailableError,
        UsageError,
    )

    open = Store.open

__all__ = [
    "Changed",
    "ConflictError",
    "Entry",
    "Expect",
    "ExpiredError",
    "GitKvError",
    "IntegrityError",
    "KeyInvalidError",
    "KeyNotFoundError",
    "Logged",
    "MirrorTimeoutError",
    "NotLeaderError",
    "PolicyError",
    "Put",
    "RejectedError",
    "Revision",
    "Store",
    "ToolError",
    "UnavailableError",
    "UsageError",
    "Value",
    "Written",
    "__version__",
    "open",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'gitkv' has no attribute {name!r}")
    from importlib import import_module

    if name == "open":
        return import_module("gitkv.client.store").Store.open
    return getattr(
        import_module("gitkv.errors" if name.endswith("Error") else "gitkv.client.store"), name
    )


def __dir__() -> list[str]:
    return sorted(__all__)
