"""Errors are values: they cross process borders and are copied without losing what they say."""

from __future__ import annotations

import copy
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

import gitkv
from gitkv import errors
from gitkv.model.verdict import KEY, POLICY, Reason, refuse
from gitkv.policy.nodes import PolicyProblem

_REASON = Reason(POLICY, "prefix.forbidden", "key a", "one of bob:", "a", "ask an admin")
_ARGUMENTS: dict[str, Any] = {
    "message": "it went wrong",
    "name": "batch.jsonl",
    "hint": "do something else",
    "offered": ("SHA256:a", "SHA256:b"),
    "expected": "0" * 40,
    "actual": "1" * 40,
    "verdict": refuse([_REASON]),
    "reasons": [_REASON._replace(code=KEY)],
    "exit_code": 3,
    "expires": 1_700_000_000,
    "errors": [PolicyProblem(3, 7, "no such field", "see the page")],
}


def _every_error() -> Iterator[type[Exception]]:
    """Every class below GitKvError that a module of ours defines; others never leave it."""
    for module in pkgutil.walk_packages(gitkv.__path__, "gitkv."):
        if module.name.endswith("__main__"):
            continue
        for _, kind in inspect.getmembers(import_module(module.name), inspect.isclass):
            if issubclass(kind, errors.GitKvError) and kind.__module__ == module.name:
                yield kind


ERRORS = sorted(set(_every_error()), key=lambda kind: (kind.__module__, kind.__name__))


def _made(kind: type[Exception]) -> Exception:
    """An error of the class, with every argument that its constructor names."""
    known = inspect.signature(kind).parameters.values()
    positional = [
        _ARGUMENTS[entry.name] for entry in known if entry.kind is entry.POSITIONAL_OR_KEYWORD
    ]
    named = {
        entry.name: _ARGUMENTS[entry.name] for entry in known if entry.kind is entry.KEYWORD_ONLY
    }
    made = kind(*positional, **named)
    made.add_note("a note of the caller")
    return made


def _facts(error: Exception) -> dict[str, Any]:
    known = {name: getattr(error, name, None) for name in ("exit_code", "retry")}
    return {"type": type(error), "text": str(error), "args": error.args, **known, **vars(error)}


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_an_error_survives_pickling_and_copying_with_all_it_says(kind: type[Exception]) -> None:
    error = _made(kind)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        sent = pickle.dumps(error, protocol)
        assert _facts(pickle.loads(sent)) == _facts(error)  # noqa: S301 - our own bytes
    assert _facts(copy.copy(error)) == _facts(error)
    assert _facts(copy.deepcopy(error)) == _facts(error)


def test_the_walk_finds_the_families_and_what_is_derived_from_them_elsewhere() -> None:
    names = {kind.__name__ for kind in ERRORS}
    assert {"ConflictError", "RejectedError", "PolicyTextError", "GoneBackError"} <= names


def test_every_documented_error_is_exported() -> None:
    documented = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.GitKvError)
    }
    assert documented <= set(gitkv.__all__)


@pytest.mark.parametrize("name", gitkv.__all__)
def test_every_exported_name_is_there(name: str) -> None:
    assert getattr(gitkv, name) is not None
