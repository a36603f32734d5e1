"""What a forged transaction's commits reach, so that a bend is the only thing wrong with a pack: no
objects lie about in it.
"""

from __future__ import annotations

from support.forge import Forged

from gitkv.model.oid import COMMIT, TREE, Oid


def pruned(forged: Forged) -> Forged:
    """Without the objects that only the honest plan needed."""
    kept: set[bytes] = set()
    todo: list[bytes] = [forged.ledger, forged.index]
    while todo:
        oid = Oid(todo.pop())
        if oid in kept or oid not in forged.objects:
            continue
        kept.add(oid)
        kind, body = forged.objects[oid]
        if kind == COMMIT:
            todo.append(bytes.fromhex(body[5:45].decode()))
        at = 0
        while kind == TREE and at < len(body):
            end = body.index(b"\0", at) + 21
            todo.append(body[end - 20 : end])
            at = end
    return forged._replace(
        objects={oid: held for oid, held in forged.objects.items() if oid in kept}
    )
