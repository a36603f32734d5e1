"""Which public keys the ssh-agent offers. Nothing is signed here."""

from __future__ import annotations

from collections.abc import Mapping

from gitkv.errors import ToolError
from gitkv.model.environment import child_environment
from gitkv.sign.process import Start, run

TIMEOUT_S = 10.0
_LINES_MAX = 200


def agent_keys(env: Mapping[str, str]) -> list[str]:
    """Public key lines of the agent; empty when there is none, it does not answer, or it holds no
    key.
    """
    if not env.get("SSH_AUTH_SOCK"):
        return []
    try:
        done = run(
            ["ssh-add", "-L"],
            b"",
            Start(child_environment(env), "install OpenSSH", timeout_s=TIMEOUT_S),
        )
    except ToolError:
        return []
    lines = done.out.split(b"\n")[:_LINES_MAX] if done.code == 0 else []
    return [line.decode("utf-8", "surrogateescape") for line in lines if line]
