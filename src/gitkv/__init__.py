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
    from gitkv.client.init import InitReport, init_store
    from gitkv.client.store import (
        Changed,
        Entry,
        Expect,
        Logged,
        Put,
        Revision,
        Store,
        Stored,
        Value,
        Written,
    )
    from gitkv.client.transaction import Tx
    from gitkv.errors import (
        AccessError,
        BusyError,
        ConflictError,
        ExpiredError,
        GitKvError,
        IntegrityError,
        KeyInvalidError,
        KeyNotFoundError,
        MachineError,
        MirrorTimeoutError,
        NotLeaderError,
        PolicyError,
        RejectedError,
        ToolError,
        UnavailableError,
        UsageError,
    )
    from gitkv.model.verdict import Reason, Verdict
    from gitkv.verifying.history import Verified

    init = init_store
    open = Store.open

_HOMES = {
    "InitReport": "gitkv.client.init",
    "Reason": "gitkv.model.verdict",
    "Tx": "gitkv.client.transaction",
    "Verdict": "gitkv.model.verdict",
    "Verified": "gitkv.verifying.history",
}

__all__ = [
    "AccessError",
    "BusyError",
    "Changed",
    "ConflictError",
    "Entry",
    "Expect",
    "ExpiredError",
    "GitKvError",
    "InitReport",
    "IntegrityError",
    "KeyInvalidError",
    "KeyNotFoundError",
    "Logged",
    "MachineError",
    "MirrorTimeoutError",
    "NotLeaderError",
    "PolicyError",
    "Put",
    "Reason",
    "RejectedError",
    "Revision",
    "Store",
    "Stored",
    "ToolError",
    "Tx",
    "UnavailableError",
    "UsageError",
    "Value",
    "Verdict",
    "Verified",
    "Written",
    "__version__",
    "init",
    "open",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'gitkv' has no attribute {name!r}")
    from importlib import import_module

    if name == "open":
        return import_module("gitkv.client.store").Store.open
    if name == "init":
        return import_module("gitkv.client.init").init_store
    home = "gitkv.errors" if name.endswith("Error") else _HOMES.get(name, "gitkv.client.store")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
