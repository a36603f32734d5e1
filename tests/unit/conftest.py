"""Unit tests touch nothing but memory: they start no process, open no socket and change no file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.no_io import Guard

_GUARD = Guard()


class SetUpOfTheSession:
    """Lets pass what the root sets up for all tests, whichever of them comes first."""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
        if fixturedef.argname not in ("home", "tmp_path_factory"):
            return (yield)
        with _GUARD.open():
            return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    # A hook of this file is not asked about fixtures of the session; a plugin is.
    if not item.config.pluginmanager.has_plugin(__name__):
        item.config.pluginmanager.register(SetUpOfTheSession(), __name__)
    with _GUARD.closed():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    with _GUARD.closed():
        return (yield)
