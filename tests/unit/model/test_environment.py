"""What passes into children, and what does not."""

from __future__ import annotations

from gitkv.model.environment import (
    child_environment,
    location,
    server_environment,
    without_location,
)

_ONE_COMMAND = {
    "GIT_CONFIG_PARAMETERS": "'a.b'='c'",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "a.b",
    "GIT_CONFIG_VALUE_0": "d",
}
_PLACE = {"GIT_DIR": "x", "GIT_WORK_TREE": "y"}


def test_configuration_for_one_command_reaches_children_and_not_a_servers() -> None:
    assert child_environment(_ONE_COMMAND).items() >= _ONE_COMMAND.items()
    assert server_environment(_ONE_COMMAND | _PLACE | {"HOME": "/h"}) == {"HOME": "/h"}


def test_the_place_is_only_for_who_asks_for_it() -> None:
    assert location(_PLACE | {"GIT_INDEX_FILE": "z"}) == _PLACE
    assert not _PLACE.keys() & child_environment(_PLACE).keys()
    assert without_location(_PLACE | {"HOME": "/h"}) == {"HOME": "/h"}
    assert location({"GIT_DIR": ""}) == {}


def test_variables_nobody_has_thought_of_stay_out() -> None:
    assert "GIT_SOMETHING_NEW" not in child_environment({"GIT_SOMETHING_NEW": "1"})
    assert "GIT_CONFIG" not in child_environment({"GIT_CONFIG": "/x"})


def test_transports_that_run_programs_stay_closed() -> None:
    allowed = child_environment({"GIT_ALLOW_PROTOCOL": "ssh:ext:https:fd"})["GIT_ALLOW_PROTOCOL"]
    assert allowed == "ssh:https"
    assert child_environment({"GIT_ALLOW_PROTOCOL": "ext"})["GIT_ALLOW_PROTOCOL"] == ""
