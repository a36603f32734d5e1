"""The world every test runs in: no configuration, agent, home or repository of the person who runs
it.

Fixtures give tools, repositories and keys. What only one folder of tests needs lives in that
folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "house", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("house"), derandomize=True, database=None)
settings.register_profile("thorough", settings.get_profile("house"), max_examples=5000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "house")
)

FIXED_DATE = "1700000000 +0000"

_GIT_CONFIG = """\
[user]
	name = Test Person
	email = test@example.invalid
[init]
	defaultBranch = main
[gc]
	auto = 0
[maintenance]
	auto = false
[commit]
	gpgSign = false
[protocol "file"]
	allow = always
"""

# Where a caller's settings could leak in besides GIT_*: agents, keyrings, language, and bytecode
# switched off (slow children).
_LEAKS = (
    "SSH_AUTH_SOCK",
    "SSH_ASKPASS",
    "GNUPGHOME",
    "EMAIL",
    "LANGUAGE",
    "TZ",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONWARNINGS",
)

# ssh takes its home from the password database, not from HOME: a test names the keys and the hosts
# it means.
_SSH_COMMAND = (
    "ssh -F none -o BatchMode=yes -o IdentityAgent=none -o IdentityFile=none"
    " -o UserKnownHostsFile=none -o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes"
)

_PACKAGE_OF = {
    "git": "git",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "gpg": "gnupg",
    "strace": "strace",
    "zsh": "zsh",
    "fish": "fish",
}


GitRunner = Callable[..., bytes]


class SshKey(NamedTuple):
    """An unencrypted ed25519 key pair: `private` is the key file, `public` its one-line public key,
    without a comment or LF.
    """

    private: Path
    public: str


def pytest_configure(config: pytest.Config) -> None:
    """The environment must be clean before any test module is imported: some read it at import."""
    for name in [*_LEAKS, *(name for name in os.environ if name.startswith(("GIT_", "GITKV_")))]:
        os.environ.pop(name, None)
    os.environ |= {"LC_ALL": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty home with a git identity."""
    directory = tmp_path_factory.mktemp("home")
    (directory / ".gitconfig").write_text(_GIT_CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(directory))
        patch.setenv("XDG_CONFIG_HOME", str(directory / ".config"))
        patch.setenv("GIT_CONFIG_GLOBAL", str(directory / ".gitconfig"))
        patch.setenv("GIT_CEILING_DIRECTORIES", str(directory.parent))
        patch.setenv("GIT_SSH_COMMAND", _SSH_COMMAND)
        yield directory


def require_tool(name: str) -> str:
    """The program's path. A missing one fails the test and says what to install: a skipped test
    would be a silent hole.
    """
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed: apt-get install {_PACKAGE_OF[name]}", pytrace=False)
    return path


@pytest.fixture(scope="session")
def git_tool() -> str:
    return require_tool("git")


@pytest.fixture(scope="session")
def ssh_tool() -> str:
    return require_tool("ssh")


@pytest.fixture(scope="session")
def ssh_keygen_tool() -> str:
    return require_tool("ssh-keygen")


@pytest.fixture(scope="session")
def zsh_tool() -> str:
    return require_tool("zsh")


@pytest.fixture(scope="session")
def fish_tool() -> str:
    return require_tool("fish")


@pytest.fixture(scope="session")
def gpg_tool() -> str:
    return require_tool("gpg")


@pytest.fixture(scope="session")
def git(git_tool: str) -> GitRunner:
    """`git("rev-parse", "HEAD", cwd=repo, input=b"")` gives the standard output; a failure raises
    with git's own words.
    """

    def run(*arguments: str | Path, cwd: Path | None = None, input: bytes = b"") -> bytes:
        done = subprocess.run(
            [git_tool, *map(str, arguments)], cwd=cwd, input=input, capture_output=True
        )
        if done.returncode:
            raise AssertionError(
                f"git {' '.join(map(str, arguments))} ended with {done.returncode}: "
                f"{done.stderr.decode(errors='replace')}"
            )
        return done.stdout

    return run


@pytest.fixture
def fixed_dates(monkeypatch: pytest.MonkeyPatch) -> str:
    """Commits that stock git makes in this test carry FIXED_DATE, so their ids are the same in
    every run.
    """
    monkeypatch.setenv("GIT_AUTHOR_DATE", FIXED_DATE)
    monkeypatch.setenv("GIT_COMMITTER_DATE", FIXED_DATE)
    return FIXED_DATE


@pytest.fixture
def bare_repo(tmp_path: Path, git: GitRunner) -> Path:
    """An empty bare repository."""
    git("init", "--quiet", "--bare", tmp_path / "bare.git")
    return tmp_path / "bare.git"


@pytest.fixture
def repo(tmp_path: Path, git: GitRunner) -> Path:
    """An empty repository with a work tree."""
    git("init", "--quiet", tmp_path / "repo")
    return tmp_path / "repo"


@pytest.fixture(scope="session")
def make_ssh_key(
    ssh_keygen_tool: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], SshKey]:
    """`make_ssh_key("alice")` makes a new ed25519 key pair."""

    def make(name: str) -> SshKey:
        private = tmp_path_factory.mktemp("ssh") / name
        command = [ssh_keygen_tool, "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(private)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        return SshKey(private, private.with_suffix(".pub").read_text().strip())

    return make


@pytest.fixture(scope="session")
def ssh_key(make_ssh_key: Callable[[str], SshKey]) -> SshKey:
    """The key of the person who is allowed to write."""
    return make_ssh_key("writer")


@pytest.fixture(scope="session")
def other_ssh_key(make_ssh_key: Callable[[str], SshKey]) -> SshKey:
    """The key of somebody else."""
    return make_ssh_key("stranger")
