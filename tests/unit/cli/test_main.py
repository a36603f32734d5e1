"""From words to an exit code: global options anywhere, help, errors for people and for programs."""

from __future__ import annotations

import errno
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitkv import errors
from gitkv.cli.arguments import message_of
from gitkv.cli.commands import COMMANDS, load_parser
from gitkv.cli.failure import report
from gitkv.cli.main import main, split_globals
from gitkv.client.follow import GoneBackError
from gitkv.client.push_line import LostAnswerError
from gitkv.errors import ConflictError, RejectedError, ToolError
from gitkv.model.verdict import INTEGRITY, POLICY, reason, refuse
from gitkv.ports import ObjectTooLargeError
from gitkv.wire.batch import BatchError


def test_global_options_are_found_before_and_behind_the_command() -> None:
    expected = (["get", "k"], {"--json", "--debug"}, "other", ["d", "e"])
    assert (
        split_globals(["--json", "--ns", "other", "-C", "d", "-Ce", "--debug", "get", "k"])
        == expected
    )
    assert (
        split_globals(["get", "--ns=other", "-Cd", "k", "-C", "e", "--json", "--debug"]) == expected
    )


def test_words_behind_two_dashes_are_never_global_options() -> None:
    assert split_globals(["set", "k", "--", "--json", "--version"]) == (
        ["set", "k", "--", "--json", "--version"],
        set(),
        None,
        [],
    )


@given(st.lists(st.sampled_from(["get", "k", "--json", "-o", "x", "--debug", "--at"]), max_size=8))
def test_taking_out_global_options_keeps_the_order_of_all_other_words(words: list[str]) -> None:
    rest, flags, _, _ = split_globals(words)
    assert rest == [word for word in words if word not in ("--json", "--debug")]
    assert flags == {"--json", "--debug"}.intersection(words)


@pytest.mark.parametrize("words", [["--version"], ["get", "--version"], ["--version", "--json"]])
def test_the_version_is_printed_wherever_it_is_asked_for(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("git-kv ")


@pytest.mark.parametrize("words", [["help"], ["-h"], ["--help"]])
def test_help_names_every_command_on_stdout(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"stargate"}))
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", name]) == 0
    asked = capsys.readouterr().out
    assert asked.startswith(f"usage: git kv {name}")
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out == asked


@pytest.mark.parametrize(
    "line",
    [
        "",
        "bogus",
        "--bogus",
        "get",
        "get a --prefix b",
        "get a b -o f",
        "get a b -z --output-dir d",
        "list a --prefix b",
        "list -l --tree",
        "list -z --tree",
        "list --delimiter= a",
        "get k --read-from moon",
        "set k",
        "set k v --file f",
        "set k -dashed",
        "set k v --ttl soon",
        f"set k v --if-absent --if-match {'a' * 40}",
        "cas set k f",
        "cas get k",
        "mset",
        "mset x",
        "mset - --file f",
        "del",
        "diff",
        "diff a b c d",
        "diff a @1 @2 --prefix p",
        "log a --prefix b",
        "wait",
        "wait --oid HEAD",
        "remote",
        "remote add",
        "list --limit -1",
        "--ns",
        "--ns UPPER list",
        "--ns a..b list",
        "-C /nonexistent list",
        "help bogus",
        "whoami alice",
        "revert",
        "revert cfg:a",
        "revert @01",
        "mv a",
        "cp a b c",
        "log --since soon",
        "policy",
        "policy show --as alice",
        "policy check",
        "policy check a b",
        "policy test",
    ],
)
def test_a_wrong_command_line_is_exit_129_with_nothing_on_stdout(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 129
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(("error: ", "usage: "))


def test_an_unknown_command_is_answered_with_the_nearest_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["lst"])
    assert (
        capsys.readouterr().err
        == "error: 'lst' is not a git kv command\nhint: did you mean 'git kv list'?\n"
    )


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("put k v", "git kv set"),
        ("rm k", "git kv del"),
        ("show k", "git kv get"),
        ("cat k", "git kv get"),
        ("ls", "git kv list"),
        ("delet k", "git kv del"),
        ("commit", "git kv mset"),
        ("--josn", "--json"),
        ("get --prefx k", "--prefix"),
        ("get k --rev 3", "--at"),
        ("list --recurse k", "--prefix"),
        ("list --separator /", "--delimiter"),
    ],
)
def test_a_habit_from_elsewhere_is_answered_with_our_word(
    words: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 129
    assert meant in capsys.readouterr().err.split("hint:", 1)[1].split("usage:")[0]


def test_errors_in_json_are_one_object_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["get", "--json"]) == 129
    out, err = capsys.readouterr()
    fields = json.loads(err)
    assert (out, fields["code"], fields["kind"], fields["reasons"]) == ("", 129, "UsageError", [])


def test_every_reason_of_a_refusal_has_its_own_line_and_the_gravest_gives_the_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    verdict = refuse(
        [
            reason(POLICY, "prefix", "key a", "x:", "a", "ask an admin"),
            reason(INTEGRITY, "index", "key b", "1", "2", "ask an admin"),
        ]
    )
    assert report(RejectedError(verdict), as_json=False, debug=False) == 8
    assert capsys.readouterr().err == (
        "error: [3 prefix] key a: expected x:, got a\nerror: [8 index] key b: expected 1, got 2\n"
        "hint: ask an admin\n"
    )
    report(RejectedError(verdict), as_json=True, debug=False)
    assert [entry["rule"] for entry in json.loads(capsys.readouterr().err)["reasons"]] == [
        "prefix",
        "index",
    ]


def test_a_conflict_in_json_says_what_was_expected_and_what_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report(ConflictError("moved", expected="a", actual="b"), as_json=True, debug=False) == 2
    fields = json.loads(capsys.readouterr().err)
    assert (fields["expected"], fields["actual"], fields["retry"]) == ("a", "b", "reload")


def test_what_a_tool_says_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report(ToolError("git: \x1b[2Jline\nnext\x9b", hint="a\x07"), as_json=False, debug=False)
    assert capsys.readouterr().err == "error: git: \\x1b[2Jline\nerror: next\\x9b\nhint: a\\x07\n"


def test_a_file_that_cannot_be_read_is_named_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["mset", "--file", "/nonexistent/batch"]) == 5
    assert capsys.readouterr().err == "error: /nonexistent/batch: No such file or directory\n"


def test_a_defect_is_one_line_and_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ZeroDivisionError("oh"), as_json=False, debug=False) == 5
    assert capsys.readouterr().err.split("\n")[0] == "error: unexpected ZeroDivisionError: oh"
    report(ZeroDivisionError("oh"), as_json=False, debug=True)
    assert "ZeroDivisionError: oh\nerror: " in capsys.readouterr().err


def test_control_c_is_exit_130_and_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Keyboard:
        def __iter__(self) -> Keyboard:
            return self

        def __next__(self) -> bytes:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False, buffer=Keyboard()))
    assert main(["mset", "-"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_person_at_the_keyboard_is_told_what_standard_input_is_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    assert main(["set", "k", "-"]) == 129
    assert "terminal" in capsys.readouterr().err


def _documented_kinds() -> set[str]:
    page = (Path(__file__).parents[3] / "docs" / "errors.md").read_text()
    return set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


_STRAY_REASON = reason(129, "batch.form", "line 1", "JSON", "{")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "out"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        PermissionError(errno.EACCES, "Permission denied"),
        MemoryError(),
        RecursionError("maximum recursion depth exceeded"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        ZeroDivisionError("oh"),
        GoneBackError("back"),
        LostAnswerError("lost"),
        ObjectTooLargeError("large"),
        BatchError("b", [_STRAY_REASON]),
        BatchError("b", [_STRAY_REASON._replace(code=4)]),
        BatchError("b", [_STRAY_REASON._replace(code=5)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_kind_of_an_error_in_json_is_always_a_documented_class_with_its_exit_code(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    code = report(error, as_json=True, debug=False)
    fields = json.loads(capsys.readouterr().err)
    assert fields["kind"] in _documented_kinds()
    assert getattr(errors, fields["kind"]).exit_code == code == fields["code"]


def test_a_trace_that_was_asked_for_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report(ValueError("\x1b[2J\x9b\u202e"), as_json=False, debug=True)
    err = capsys.readouterr().err
    assert "Error: \\x1b[2J" in err and all(line.isprintable() for line in err.splitlines())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], ""),
        (["-m", "a"], "a"),
        (["-m", "a", "-m", "b"], "a\n\nb"),
        (["-m", "a\n", "--message", "b\nc\n", "-m", "d"], "a\n\nb\nc\n\nd"),
        (["-m", "", "-m", "b", "-m", " "], "b"),
    ],
)
@pytest.mark.parametrize("verb", ["set", "del", "mset", "cas"])
def test_each_message_option_is_a_paragraph_as_in_git(
    verb: str, words: list[str], message: str
) -> None:
    operands = {"cas": ["set", "k", "f", "--expect-blob", "0" * 40]}.get(verb, ["k"])
    assert message_of(load_parser(verb)[0].parse_args([*operands, *words])) == message
