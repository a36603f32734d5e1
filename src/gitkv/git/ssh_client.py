"""The ssh client that git would use, with git's rules for choosing and calling it (git-config(1):
core.sshCommand, ssh.variant; git(1): GIT_SSH, GIT_SSH_COMMAND, GIT_SSH_VARIANT).

GIT_SSH_COMMAND and core.sshCommand are programs that the user wrote for a shell, so a shell reads
them, exactly as git has it done. It is the only shell that git-kv starts, and it reads nothing
else: what comes from outside are arguments after the text, never part of it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from gitkv.errors import AccessError, GitKvError, ToolError
from gitkv.git.process import end_process, start
from gitkv.git.remote_words import is_host_key_refused, is_log_in_refused
from gitkv.git.ssh_address import SshTarget
from gitkv.model.environment import child_environment, server_environment

SSH, SIMPLE, AUTO = "ssh", "simple", "auto"
_PLINK = ("plink", "putty", "tortoiseplink")  # -P for the port instead of -p
_VARIANTS = (SIMPLE, AUTO, *_PLINK)
# What makes a shell necessary (git: run-command.c, prepare_shell_cmd)
_SHELL_CHARS = frozenset("|&;<>()$`\\\"' \t\n*?[#~=%")
_PROBE_TIMEOUT_S = 20.0
_SHOWN_MAX = 5
_SEEN_BYTES_MAX = 64 * 1024


class SshClient(NamedTuple):
    """`words`: the program, perhaps in a shell, to which arguments are added; `variant`: which
    options it takes.
    """

    words: list[str]
    variant: str

    def call(self, target: SshTarget, command: str, *options: str) -> list[str]:
        """The whole command line. Raises ToolError for a port that the client cannot be told."""
        return [*self.words, *options, *self._port(target), target.place, command]

    def _port(self, target: SshTarget) -> list[str]:
        batch = ["-batch"] if self.variant == "tortoiseplink" else []
        if not target.port:
            return batch
        if self.variant == SIMPLE:
            raise ToolError(
                "this ssh client takes no port (ssh variant 'simple')",
                hint="if it takes OpenSSH's options: git config ssh.variant ssh",
            )
        return [*batch, "-P" if self.variant in _PLINK else "-p", target.port]


def ssh_environment(env: Mapping[str, str]) -> dict[str, str]:
    """What the client gets: without the settings for one git command, as git leaves them out."""
    return child_environment(server_environment(env))


def remote_command(program: str, path: str) -> str:
    """`program 'path'` for the shell of the far side; the path has no quotes in it
    (`parse_ssh_url`).
    """
    return f"{program} '{path}'"


def ssh_client(target: SshTarget, env: Mapping[str, str], config: Mapping[str, str]) -> SshClient:
    """GIT_SSH_COMMAND, core.sshCommand, GIT_SSH or ssh. A client of unknown name is asked whether
    it knows OpenSSH's -G, as git asks it. Raises ToolError when it is missing.
    """
    text = env.get("GIT_SSH_COMMAND") or config.get("core.sshcommand")
    program = text or env.get("GIT_SSH") or "ssh"
    words = _in_shell(program) if text else [program]
    variant = env.get("GIT_SSH_VARIANT") or config.get("ssh.variant") or _by_name(program, text)
    if variant == AUTO:
        variant = _asked(words, target, env)
    return SshClient(words, variant if variant in _VARIANTS else SSH)


def offered(
    target: SshTarget, env: Mapping[str, str], config: Mapping[str, str]
) -> tuple[list[str], str]:
    """The fingerprints of the keys that ssh offers to the host, in order, and that of the host's
    own key: a log-in for nothing else but to see it, after one was refused.

    Empty where the client does not say.
    """
    client = ssh_client(target, env, config)
    if client.variant != SSH:
        return [], ""
    options = ("-v", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
    command = client.call(target, "true", *options)
    child = start(command, ssh_environment(env))
    try:
        _, said = child.communicate(b"", timeout=_PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        said = b""
    finally:
        end_process(child)
    return _seen(said[-_SEEN_BYTES_MAX:])


def explained(
    error: GitKvError,
    said: bytes,
    target: SshTarget,
    env: Mapping[str, str],
    config: Mapping[str, str],
) -> GitKvError:
    """`error`, with the keys that were offered when a log-in was refused, and the host's own when
    that is not the known one. Connects once more to see them.
    """
    log_in, host_key = is_log_in_refused(said), is_host_key_refused(said)
    if not isinstance(error, AccessError) or not (log_in or host_key):
        return error
    try:
        keys, host = offered(target, env, config)
    except ToolError:
        return error
    text = str(error)
    if host_key:
        if host and host not in text:
            text = f"{text.removesuffix('.')}; it shows {host}"
        return AccessError(text, hint=error.hint)
    text = f"{text.removesuffix('.')}; ssh offered {', '.join(keys[:_SHOWN_MAX]) or 'no key'}"
    return AccessError(text, hint=error.hint, offered=tuple(keys))


def _seen(said: bytes) -> tuple[list[str], str]:
    keys: list[str] = []
    host = ""
    for line in said.decode("utf-8", "replace").split("\n"):
        fingerprint = next((word for word in line.split() if word.startswith("SHA256:")), "")
        if line.startswith("debug1: Offering public key: ") and fingerprint not in keys:
            keys.append(fingerprint)
        elif line.startswith("debug1: Server host key: "):
            host = fingerprint
    return keys, host


def _in_shell(text: str) -> list[str]:
    return ["/bin/sh", "-c", f'{text} "$@"', text] if _SHELL_CHARS & set(text) else [text]


def _by_name(program: str, text: str | None) -> str:
    """What the client's name tells: the first word's, where a shell will read it."""
    name = program
    if text:
        import shlex  # only where a command is configured

        try:
            name = (shlex.split(text) or [""])[0]
        except ValueError:  # the shell will say what is wrong with it
            return SSH
    name = os.path.basename(name).lower().removesuffix(".exe")
    return name if name == SSH or name in _PLINK else AUTO


def _asked(words: list[str], target: SshTarget, env: Mapping[str, str]) -> str:
    port = ["-p", target.port] if target.port else []
    child = start([*words, "-G", *port, target.place], ssh_environment(env))
    try:
        child.communicate(b"", timeout=_PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return SIMPLE
    finally:
        end_process(child)
    return SSH if child.returncode == 0 else SIMPLE
