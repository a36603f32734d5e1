"""What fails is tried again, ever less often."""

from __future__ import annotations

from gitkv.daemon.workers import PAUSE_FIRST_S, PAUSE_MAX_S, Pauses


def test_pauses_double_up_to_a_limit_and_end_with_a_success() -> None:
    now = [0.0]
    pauses = Pauses(lambda: now[0])
    waits = []
    for _ in range(20):
        pauses.failed()
        waits.append(pauses.left_s)
        now[0] += pauses.left_s

    assert waits[:3] == [PAUSE_FIRST_S, 2 * PAUSE_FIRST_S, 4 * PAUSE_FIRST_S]
    assert waits[-1] == PAUSE_MAX_S
    assert pauses.left_s == 0.0 and pauses.failures == 20

    pauses.failed()
    pauses.succeeded()
    assert (pauses.left_s, pauses.failures) == (0.0, 0)
