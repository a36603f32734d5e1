"""Transactions for etcd over its JSON gateway: the requests are encoded beforehand, the connections
stay open.
"""

from __future__ import annotations

import http.client
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

OPERATIONS_MAX = 128  # etcd's default --max-txn-ops


def requests(pairs: Iterable[tuple[str, str]]) -> list[bytes]:
    """Bodies of transactions of up to 128 puts."""
    bodies, rest = [], iter(pairs)
    while some := list(islice(rest, OPERATIONS_MAX)):
        puts = [
            {"requestPut": {"key": _base64(key), "value": _base64(value)}} for key, value in some
        ]
        bodies.append(json.dumps({"success": puts}).encode())
    return bodies


def send(port: int, bodies: Sequence[bytes], connections: int) -> None:
    """All transactions, spread over connections, each in order. Raises OSError when one fails."""
    with ThreadPoolExecutor(connections) as pool:
        for done in [
            pool.submit(_send_in_order, port, bodies[at::connections]) for at in range(connections)
        ]:
            done.result()


def _send_in_order(port: int, bodies: Sequence[bytes]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        for body in bodies:
            connection.request("POST", "/v3/kv/txn", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            said = response.read()
            if response.status != 200 or b'"succeeded":true' not in said:
                raise OSError(f"etcd: {response.status} {said[:200]!r}")
    finally:
        connection.close()


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
