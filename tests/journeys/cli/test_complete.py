"""What can stand next on the line: asked of the parsers, the store and its policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command import Command

import gitkv
from gitkv.cli.commands import COMMANDS, load_parser
from gitkv.cli.man_pages import pages


@pytest.fixture
def kv(repo: Path) -> Command:
    gitkv.init(repo)
    kv = Command(repo)
    with gitkv.open(repo) as store:
        store.update({"cfg:a": b"1", "cfg:b": b"2", "-dash": b"3", "x\u202ey": b"4"})
    return kv


def _words(kv: Command, *line: str) -> list[str]:
    answer = kv("completion", "words", "--", *(f"={word}" for word in line))
    assert answer.err == ""
    return [word.partition("\t")[0] or word for word in answer.text.splitlines()]


def test_every_command_stands_at_the_beginning(kv: Command) -> None:
    assert set(_words(kv, "")) == {*COMMANDS, "help"}
    assert _words(kv, "ver") == ["verify"]
    assert _words(kv, "--ns", "main", "ver") == ["verify"]
    assert "policy" in _words(kv, "help", "po")


@pytest.mark.parametrize("verb", sorted(COMMANDS.keys() - {"stargate"}))
def test_every_option_of_a_command_is_offered(kv: Command, verb: str) -> None:
    parser, _ = load_parser(verb)
    long = {name for name in parser._option_string_actions if name.startswith("--")}
    assert {word.rstrip("=") for word in _words(kv, verb, "--")} == long | {"--json"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (("get", "c"), ["cfg:a", "cfg:b"]),
        (("get", "cfg:a", "cfg:b"), ["cfg:b"]),
        (("get", "-"), None),
        (("get", "--", "-"), ["-dash"]),
        (("get", "x"), []),
        (("set", "cfg:a", "c"), []),
        (("list", "--prefix", "cfg:a"), ["cfg:a"]),
        (("get", "--read-from=m"), ["--read-from=mirror"]),
        (("get", "--read-from", ""), ["mirror", "stargate", "local"]),
        (("diff", "@"), ["@1", "@0"]),
        (("get", "--at", "@1"), ["@1"]),
        (("revert", "cfg:a"), ["cfg:a@1"]),
        (("--ns", ""), ["main"]),
        (("get", "-o", ""), ["\tfiles"]),
        (("set", "k", "--file="), ["\tfiles"]),
        (("-C", ""), ["\tdirectories"]),
        (("policy", ""), ["show", "check", "test"]),
        (("policy", "check", ""), ["\tfiles"]),
        (("stargate", ""), ["init", "serve"]),
        (("stargate", "serve", "--log-format="), ["--log-format=text", "--log-format=json"]),
        (("remote", ""), ["setup", "repair"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("set", "k", "--ttl", "3"), ["30d"]),
        (("bogus", ""), []),
        (("bogus", "--"), ["--json"]),
        (("get", "--bogus="), []),
    ],
)
def test_what_can_stand_there_is_offered(
    kv: Command, line: tuple[str, ...], expected: list[str] | None
) -> None:
    found = _words(kv, *line)
    assert found == expected if expected is not None else "-dash" not in found


def test_a_remote_and_a_principal_are_offered(kv: Command, git: object) -> None:
    assert callable(git)
    git("remote", "add", "up.stream", "/nowhere", cwd=kv.folder)
    assert _words(kv, "remote", "setup", "--remote=u") == ["--remote=up.stream"]
    assert _words(kv, "log", "--signer=") == []


def test_nothing_is_offered_and_nothing_fails_outside_a_store(tmp_path: Path) -> None:
    assert _words(Command(tmp_path), "get", "") == []
    assert _words(Command(tmp_path), "get", "--at", "@") == []


def test_a_message_of_others_cannot_steer_the_terminal(kv: Command) -> None:
    kv("set", "a", "1", "-m", "say \u202e")
    shown = kv("completion", "words", "--", "=diff", "=@2").text
    assert shown == "@2\tsay \\u202e\n"


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("bash", ".local/share/bash-completion/completions/git-kv"),
        ("zsh", ".local/share/zsh/site-functions/_git-kv"),
        ("fish", ".config/fish/conf.d/git-kv.fish"),
    ],
)
def test_a_script_is_printed_or_put_where_the_shell_looks(
    kv: Command, shell: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "BASH_COMPLETION_USER_DIR"):
        monkeypatch.delenv(name, raising=False)
    script = kv("completion", shell).out
    assert b"completion words" in script
    answer = kv("completion", shell, "--install")
    assert answer.text == f"{tmp_path / path}\n"
    assert (tmp_path / path).read_bytes() == script


def test_manual_pages_are_written_where_man_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    folder = tmp_path / ".local/share/man/man1"
    assert Command(tmp_path)("manual").text == f"{folder}\n"
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict(pages())
    Command(tmp_path)("manual", "--to", "here")
    assert (tmp_path / "here" / "git-kv.1").exists()
