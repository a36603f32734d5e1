"""A key file with a passphrase, unlocked once for as long as one command signs: in an ssh-agent of
its own, so that the passphrase is asked for by OpenSSH, by its own rules, and never comes here.

The agent hears on a socket that only this user can open. It loses the key when the command is done,
and ends by itself when the command is killed; the key has a lifetime besides.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import suppress

from gitkv.errors import ToolError
from gitkv.model.verdict import printable
from gitkv.sign.process import Start, run

_LIFETIME_S = 600
_END_TIMEOUT_S = 5.0
_REMEDY = "install OpenSSH, for example: apt-get install openssh-client"
# ssh-add asks again for as long as it gets a wrong answer: a program that answers is asked once
_ASK_ONCE = '#!/bin/sh\ncase $1 in "Bad passphrase"*) exit 1 ;; esac\nexec "$GITKV_ASKPASS" "$1"\n'


class UnlockedKey:
    """`socket`: where the agent that holds the key is asked. Ends with the object that keeps it."""

    def __init__(self, key_file: str, start: Start) -> None:
        """Asks for the passphrase. Raises ToolError when none, or a wrong one, was given."""
        folder = tempfile.mkdtemp(prefix="git-kv-agent-")
        self.socket = os.path.join(folder, "agent")
        env = {**start.env, "SSH_AUTH_SOCK": self.socket}
        keeper = _start_agent(self.socket, folder, start.env)
        self._end = weakref.finalize(self, _end, keeper, folder, env)
        askpass = start.env.get("SSH_ASKPASS")
        if askpass:
            script = os.path.join(folder, "askpass")
            with open(script, "w", encoding="ascii") as file:
                file.write(_ASK_ONCE)
            os.chmod(script, 0o700)
            env |= {"SSH_ASKPASS": script, "GITKV_ASKPASS": askpass}
        words = ["ssh-add", "-q", "-t", str(_LIFETIME_S), "--", key_file]
        done = run(words, b"", start._replace(env=env))
        if done.code:
            self._end()
            said = printable(done.err.strip()) or "no passphrase was given, or a wrong one"
            raise ToolError(
                f"the key {printable(key_file)} stays locked: {said}",
                hint="put it into an agent: ssh-add FILE",
            )


def _start_agent(socket: str, folder: str, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """An agent that lives as long as the program it runs, and that as long as its input is open:
    even a killed command leaves none.
    """
    pipe = subprocess.PIPE
    try:
        keeper = subprocess.Popen(
            ["ssh-agent", "-a", socket, "cat"], stdin=pipe, stdout=pipe, env=dict(env)
        )
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ToolError(f"ssh-agent cannot be started: {error}", hint=_REMEDY) from None
    assert keeper.stdin is not None and keeper.stdout is not None
    keeper.stdin.write(b"\n")
    keeper.stdin.flush()
    if keeper.stdout.read(1) != b"\n":  # it answers once the agent hears
        _end(keeper, folder, {})
        raise ToolError("ssh-agent did not start", hint=_REMEDY)
    return keeper


def _end(keeper: subprocess.Popen[bytes], folder: str, env: Mapping[str, str]) -> None:
    if env:
        with suppress(ToolError):  # the agent is gone already
            run(["ssh-add", "-q", "-D"], b"", Start(env, _REMEDY, timeout_s=_END_TIMEOUT_S))
    for pipe in (keeper.stdin, keeper.stdout):
        if pipe is not None:
            pipe.close()
    try:
        keeper.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()
    shutil.rmtree(folder, ignore_errors=True)
