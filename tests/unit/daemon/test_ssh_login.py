"""What one connection goes through on its way in, and what strangers may write into the log."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import asyncssh
import pytest

from gitkv.daemon.door import (
    IDLE_SETTLED_S,
    SPEAKING,
    LoggedIn,
    Waiting,
)
from gitkv.daemon.ssh_connection import BoundedConnection
from gitkv.daemon.ssh_login import (
    STRANGER_LINES_BURST,
    Lobby,
    Login,
    StrangerLog,
    admit,
)
from gitkv.errors import IntegrityError
from gitkv.model.configuration import DEFAULTS
from gitkv.model.event import ConnectionDropped, ConnectionFailed, Event, LoginFailed, LoginRefused

OF_ONE_MAX = DEFAULTS.connections.of_one_max
WAITING_OF_ONE_MAX = DEFAULTS.logins.waiting_of_one_max
IDLE_S = DEFAULTS.connections.idle_s


class Line(BoundedConnection):
    """The connection as the log-in sees it: what it is told is kept, and nothing is sent."""

    def __init__(self, who: str = "", *, is_admin: bool = False) -> None:
        self.info = {"principal": who, "is_admin": is_admin}
        self.ends: list[str] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.info.get(name, default)

    def disconnect(self, code: int, reason: str, lang: str = "") -> None:
        self.ends.append(reason)

    def abort(self) -> None:
        self.ends.append("aborted")


class Scene:
    """A lobby whose log is kept: no gateway is asked here."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        gateway = SimpleNamespace(report=self.told.append)
        self.lobby = Lobby(cast(Any, gateway), DEFAULTS.logins, DEFAULTS.connections)
        self.now_s = 0.0
        self.lobby.logged_in = LoggedIn(lambda: self.now_s)
        self.lobby.waiting = Waiting(lambda: 0.0)

    def arrive(self, line: Line, address: str = "192.0.2.1") -> Login:
        login = Login(self.lobby, f"{address}:4711")
        assert admit(self.lobby, login, address).admitted
        login.connection_made(line)
        return login

    def log_in(self, who: str, *, is_admin: bool = False) -> tuple[Login, Line]:
        line = Line(who, is_admin=is_admin)
        login = self.arrive(line)
        login.auth_completed()
        return login, line


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_strangers_write_a_burst_of_lines_then_one_a_second_and_the_rest_is_counted() -> None:
    now_s, told = [0.0], list[Event]()
    log = StrangerLog(told.append, lambda: now_s[0])
    for _ in range(STRANGER_LINES_BURST + 7):
        log(LoginRefused("x"))
    assert told == [LoginRefused("x")] * STRANGER_LINES_BURST
    now_s[0] += 1
    log(LoginRefused("y"))
    now_s[0] += 1
    log(LoginRefused("z"))
    assert told[-2:] == [LoginRefused("y", unlogged=7), LoginRefused("z")]


def test_whoever_never_spoke_leaves_no_line(scene: Scene) -> None:
    scene.arrive(Line()).connection_lost(None)
    scene.arrive(Line()).connection_lost(ConnectionResetError())
    assert scene.told == []


def test_a_stranger_who_broke_the_protocol_leaves_one_line_with_the_reason(scene: Scene) -> None:
    scene.arrive(Line()).connection_lost(asyncssh.ProtocolError("no ssh"))
    [told] = scene.told
    assert isinstance(told, LoginRefused) and "no ssh" in told.why
    assert (told.peer, told.keys, told.who) == ("192.0.2.1:4711", (), "")


def test_a_principal_who_broke_the_protocol_is_named(scene: Scene) -> None:
    login, _ = scene.log_in("bob")
    login.connection_lost(asyncssh.ProtocolError("odd packet"))
    assert scene.told == [ConnectionDropped("192.0.2.1:4711", "bob", "odd packet")]


def test_a_principal_who_leaves_politely_leaves_no_line_and_makes_room(scene: Scene) -> None:
    for _ in range(3 * OF_ONE_MAX):
        login, line = scene.log_in("bob")
        login.connection_lost(None)
        assert line.ends == []
    assert scene.told == []


def test_one_principal_too_often_is_told_and_one_who_idles_makes_room(scene: Scene) -> None:
    held = [scene.log_in("bob") for _ in range(OF_ONE_MAX)]
    for login, _ in held:
        scene.lobby.logged_in.begin(login)
    late, line = scene.log_in("bob")
    assert line.ends == ["too many connections at once"] and late.principal == ""
    assert scene.told[-1] == LoginRefused("192.0.2.1:4711", "bob", why="too many connections")

    scene.lobby.logged_in.end(held[0][0])
    scene.now_s += IDLE_SETTLED_S
    _, fresh = scene.log_in("bob")
    assert fresh.ends == [] and held[0][1].ends == ["idle while others come"]


def test_an_error_of_ours_before_the_log_in_counts_as_a_strangers_line(scene: Scene) -> None:
    scene.arrive(Line()).fault(IntegrityError("torn", hint="look"))
    login, _ = scene.log_in("bob")
    login.fault(ZeroDivisionError("oh"))
    peer = "192.0.2.1:4711"
    assert scene.told == [
        LoginFailed(peer, "IntegrityError: torn", "look"),
        ConnectionFailed(peer, "bob", "ZeroDivisionError: oh"),
    ]


def test_a_connection_that_was_not_made_can_be_ended(scene: Scene) -> None:
    login = Login(scene.lobby, "192.0.2.1:1")
    login.abort()
    login.send_away("no command for too long")
    login.connection_lost(None)
    assert scene.told == []


def test_of_a_crowd_from_one_address_one_that_says_nothing_goes_for_a_newcomer(
    scene: Scene,
) -> None:
    lines = [Line() for _ in range(WAITING_OF_ONE_MAX)]
    for line in lines:
        login = scene.arrive(line)
        if line is not lines[-1]:
            scene.lobby.waiting.advance(login, SPEAKING)
    scene.arrive(Line())
    assert [line.ends for line in lines] == [[]] * (WAITING_OF_ONE_MAX - 1) + [["aborted"]]


def test_idle_connections_are_sent_away_when_their_time_is_over(scene: Scene) -> None:
    idle, busy = scene.log_in("bob"), scene.log_in("carol")
    scene.lobby.logged_in.begin(busy[0])
    scene.now_s += IDLE_S - 1
    scene.lobby.send_idle_away()
    assert idle[1].ends == []
    scene.now_s += 1
    scene.lobby.send_idle_away()
    assert (idle[1].ends, busy[1].ends) == (["no command for too long"], [])
