"""Whether this directory is the one that served here last (docs/adr/0014).

A backup that is put back brings older refs, and its files are new ones: `kv/place` is an empty file
that nothing ever touches, and `kv/confirmed.json` names its inode and change time, which no copying
tool can set, beside what the mirror had confirmed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from gitkv.git.durable import sync
from gitkv.model.oid import Oid, parse_oid
from gitkv.model.refs import Ref


def remember_confirmed(git_dir: str, confirmed: Mapping[Ref, Oid]) -> None:
    """Writes down, durably, that this directory is current, and what its mirror has confirmed.
    Raises OSError.
    """
    record = {
        "place": _made_place(git_dir),
        "refs": {ref.decode(): oid.hex() for ref, oid in confirmed.items()},
    }
    path = _record_path(git_dir)
    with open(path + ".draft", "w", encoding="ascii") as file:
        file.write(json.dumps(record, sort_keys=True))
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".draft", path)
    sync(os.path.dirname(path))


def remembered(git_dir: str) -> dict[Ref, Oid] | None:
    """What was written down in this very directory; None when there is nothing, or it was in
    another one.
    """
    try:
        with open(_record_path(git_dir), "rb") as file:
            record = json.loads(file.read())
        confirmed = {
            Ref(ref.encode()): parse_oid(oid.encode()) for ref, oid in record["refs"].items()
        }
        return confirmed if record["place"] == _place(git_dir) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _made_place(git_dir: str) -> list[int]:
    path = _place_path(git_dir)
    if not os.path.lexists(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400))
        sync(path)
    return _place(git_dir)


def _place(git_dir: str) -> list[int]:
    stat = os.lstat(_place_path(git_dir))
    return [stat.st_ino, stat.st_ctime_ns]


def _place_path(git_dir: str) -> str:
    return os.path.join(git_dir, "kv", "place")


def _record_path(git_dir: str) -> str:
    return os.path.join(git_dir, "kv", "confirmed.json")
