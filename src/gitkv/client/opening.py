"""The first moments of a command: find the repository and, when something will be written, let ssh
start on its way to Stargate.

The log-in takes longer than loading the rest of this program, and needs nothing of it: so the two
go side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gitkv.git.repository import Repository, discover
from gitkv.git.ssh_pipe import SshPipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.sign.unlocked import UnlockedKey


class Opening(NamedTuple):
    """The repository, and a connection under way to its Stargate's receiving side for the first
    write, if there is one. `key`: a signing key with a passphrase, which was asked for once: ssh
    is likely to log in with it, too, as often as it connects.
    """

    repository: Repository
    pipe: SshPipe | None = None
    key: UnlockedKey | None = None

    def environment(self, env: Mapping[str, str]) -> Mapping[str, str]:
        """What children start from: with the agent that holds the unlocked key, if there is
        one.
        """
        return env if self.key is None else {**env, "SSH_AUTH_SOCK": self.key.socket}


def begin(path: str, env: Mapping[str, str], *, for_writing: bool = False) -> Opening:
    """Raises ToolError when there is no repository around `path` or no ssh client, UsageError for
    a push URL that is not ssh://.
    """
    repository = discover(path, env)
    url = push_url(repository.config)
    if not for_writing or not url:
        return Opening(repository)
    from gitkv.sign.signers import unlocked_key  # only where something is written

    home = repository.work_tree or repository.git_dir
    opening = Opening(repository, key=unlocked_key(repository.config, env, home))
    pipe = call(url, opening.environment(env), repository.config_all)
    return opening._replace(pipe=pipe)


def call(url: str, env: Mapping[str, str], config_all: Mapping[str, Sequence[str]]) -> SshPipe:
    """Starts ssh and does not wait for it. Raises UsageError for an address that ssh does not
    reach, ToolError without an ssh client.
    """
    pipe = SshPipe()
    pipe.start(url, env, config_all)
    return pipe


def stargate_remote(config: Mapping[str, str]) -> str:
    """The remote that a Stargate serves; "" in a standalone store. `git kv remote setup`
    writes it.
    """
    return config.get("kv.remote", "")


def push_url(config: Mapping[str, str]) -> str:
    """Where transactions are sent; "" in a standalone store."""
    return config.get(f"remote.{stargate_remote(config)}.pushurl", "")
