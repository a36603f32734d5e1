"""The environment children get.

`GIT_*` variables set by a surrounding git command or hook would point ours at another repository,
index or object store; pre-commit's `no_git_env` tells the same story. What a person says on purpose
for one command (`git -c`, GIT_CONFIG_COUNT, the way to a host) passes, as it does in git.
"""

from __future__ import annotations

from collections.abc import Mapping

# What a person sets on purpose to steer git's transport, identity and configuration, and what
# cannot redirect a repository.
_KEPT_GIT = frozenset(
    (
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_ASKPASS",
        "GIT_SSL_CAINFO",
        "GIT_SSL_CAPATH",
        "GIT_SSL_CERT",
        "GIT_SSL_CERT_PASSWORD_PROTECTED",
        "GIT_SSL_KEY",
        "GIT_SSL_NO_VERIFY",
        "GIT_SSL_VERSION",
        "GIT_SSL_CIPHER_LIST",
        "GIT_HTTP_PROXY_AUTHMETHOD",
        "GIT_HTTP_LOW_SPEED_LIMIT",
        "GIT_HTTP_LOW_SPEED_TIME",
        "GIT_HTTP_USER_AGENT",
        "GIT_ALLOW_PROTOCOL",
        "GIT_PROTOCOL_FROM_USER",
        "GIT_EXEC_PATH",
        "GIT_CEILING_DIRECTORIES",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM",
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
    )
)
_LOCATION = ("GIT_DIR", "GIT_WORK_TREE")
# Configuration for one command: `git -c` and --config-env use the first, scripts the others
_ONE_COMMAND = ("GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT")
_ONE_COMMAND_PREFIXES = ("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_")
_RUNS_PROGRAMS = frozenset(("ext", "fd"))  # transports that GIT_ALLOW_PROTOCOL must not open


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without the variables that redirect git, with a C locale so that messages can be
    matched. Configuration given for this command stays.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("GIT_") or name in _KEPT_GIT or _is_configuration(name)
    }
    allowed = kept.get("GIT_ALLOW_PROTOCOL")
    if allowed is not None:  # it would beat our own protocol.ext.allow=never
        names = [name for name in allowed.split(":") if name not in _RUNS_PROGRAMS]
        kept["GIT_ALLOW_PROTOCOL"] = ":".join(names)
    kept |= {
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
    return kept


def location(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environ` that say which repository and work tree are meant: `git --git-dir`
    and `--work-tree`, and every hook, set them.
    """
    return {name: environ[name] for name in _LOCATION if environ.get(name)}


def without_location(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for a program that names the repository itself."""
    return {name: value for name, value in environ.items() if name not in _LOCATION}


def server_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what was meant for one command, its configuration and its repository: a
    server is not to be steered by the shell that started it.
    """
    return {
        name: value
        for name, value in environ.items()
        if name not in _LOCATION and not _is_configuration(name)
    }


def _is_configuration(name: str) -> bool:
    return name in _ONE_COMMAND or name.startswith(_ONE_COMMAND_PREFIXES)
