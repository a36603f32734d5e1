"""The editor that git would start, on one file. Not through a shell: a setting that needs one is
refused.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from gitkv.errors import ToolError
from gitkv.git.process import end_process
from gitkv.git.signals import Shield, Theirs, note
from gitkv.git.words import split_command
from gitkv.model.verdict import printable


def run_editor(path: str, setting: str, env: Mapping[str, str]) -> None:
    """Lets a person edit the file. `setting`: core.editor, "" for none. Raises ToolError when there
    is no editor, or it fails.
    """
    command = env.get("GIT_EDITOR") or setting
    if not command and env.get("TERM", "dumb") != "dumb":
        command = env.get("VISUAL", "")
    command = command or env.get("EDITOR") or "vi"
    words = split_command(command, "the editor")
    if words[0].startswith("~/") and env.get("HOME"):
        words[0] = env["HOME"] + words[0][1:]
    with Theirs():
        code = _run(words, path, env)
    if code != 0:
        raise ToolError(f"the editor {printable(words[0])} ended with {code}: nothing was changed")


def _run(words: list[str], path: str, env: Mapping[str, str]) -> int:
    try:
        with Shield():
            child = subprocess.Popen([*words, path], env=dict(env))
            note(child)
    except OSError as error:
        raise ToolError(
            f"the editor {printable(words[0])} could not be started: {error.strerror}",
            hint="git config --global core.editor PROGRAM",
        ) from None
    try:
        return child.wait()
    finally:
        end_process(child)
