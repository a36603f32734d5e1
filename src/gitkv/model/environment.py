"""The environment children get. `GIT_*` variables set by a surrounding git command or hook would
point ours at another repository, index or object store; pre-commit's `no_git_env` tells the same
story.
"""

from __future__ import annotations

from collections.abc import Mapping

# What a person sets on purpose to steer git's transport and identity, and what cannot redirect a
# repository.
_KEPT_GIT = frozenset(
    (
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_ASKPASS",
        "GIT_SSL_CAINFO",
        "GIT_EXEC_PATH",
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
    )
)


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without the variables that redirect git, with a C locale so that messages can be
    matched.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("GIT_") or name in _KEPT_GIT
    }
    kept |= {
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
    return kept
