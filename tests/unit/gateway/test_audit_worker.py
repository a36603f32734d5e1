"""The worker that audits after the answer tells a failure once, and goes on when it is over."""

from __future__ import annotations

from threading import Event, Thread

from support.gateway import Gateway

from gitkv.gateway import background_audit
from gitkv.testing.world import wait_until


def test_a_failure_that_lasts_is_told_once_and_its_end_too(gateway: Gateway) -> None:
    gateway.restart()
    path, stopping = gateway.git_dir / "packed-refs", Event()
    whole = path.read_bytes()
    path.write_bytes(b"")
    attempts = []

    def counting(name: str) -> None:
        attempts.append(name)

    real = gateway.stargate.namespaces

    def namespaces() -> list[object]:
        counting("namespaces")
        return list(real())

    gateway.stargate.namespaces = namespaces  # type: ignore[method-assign, assignment]
    worker = Thread(target=background_audit.run, args=(gateway.stargate, stopping))
    worker.start()
    try:
        wait_until(lambda: len(attempts) >= 3, 20)
        assert len(gateway.names("audit.failed")) == 1
        path.write_bytes(whole)
        wait_until(lambda: gateway.names("audit.recovered"), 20)
        assert len(gateway.names("audit.failed")) == 1
    finally:
        stopping.set()
        gateway.stargate.announce_move()
        worker.join(20)
