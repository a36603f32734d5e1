"""Signs commits the way git is configured to: the same keys, programs and settings as `git commit
-S` (git-config: gpg.*, user.signingKey).

Whatever a program prints is made sure to be the one accepted spelling before it gets into a commit
(spec/attestation 5). Nothing here needs cryptography.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from gitkv.errors import ToolError
from gitkv.model.environment import child_environment
from gitkv.model.verdict import printable
from gitkv.ports import Signer
from gitkv.sign.process import Finished, Start, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.sign.unlocked import UnlockedKey

_GPG_HINT = (
    "check user.signingkey with: gpg --list-secret-keys; install gpg with: apt-get install gnupg"
)
_SSH_HINT = (
    "check user.signingkey: it names a private key file, or a public key whose private half the "
    "ssh-agent holds (ssh-add -L)"
)


def signer_from_config(
    config: Mapping[str, str], env: Mapping[str, str], cwd: str
) -> Signer | None:
    """The signer git's configuration asks for; None when no user.signingkey is set.

    `config`: lower-case names of git settings, the last value of each; `env`: the environment of
    the process; `cwd`: what relative paths start from. Raises ToolError for settings that make no
    sense, and for X.509: no policy can name keys of it.
    """
    style = config.get("gpg.format", "openpgp")
    key = config.get("user.signingkey", "")
    if style not in ("openpgp", "ssh"):
        raise ToolError(
            f"gpg.format is {printable(style)}: expected ssh or openpgp",
            hint="git config gpg.format ssh",
        )
    if style == "ssh" and not key and config.get("gpg.ssh.defaultkeycommand"):
        raise ToolError(
            "gpg.ssh.defaultKeyCommand is not run",
            hint="name the key with: git config user.signingkey FILE",
        )
    if not key:
        return None
    start_env = child_environment(env)
    if style == "openpgp":
        return GpgSigner(gpg_program(config, env), key, Start(start_env, _GPG_HINT, cwd))
    program = expanded(config.get("gpg.ssh.program") or "ssh-keygen", env)
    start = Start(start_env, "install OpenSSH, for example: apt-get install openssh-client", cwd)
    literal = literal_key(key)
    return (
        SshSigner(program, expanded(key, env), start)
        if literal is None
        else SshAgentSigner(program, literal, start)
    )


def unlocked_key(config: Mapping[str, str], env: Mapping[str, str], cwd: str) -> UnlockedKey | None:
    """The key file that git's configuration signs with, unlocked for this command and for all that
    it starts; None when it has no passphrase, or the person's agent holds it or others, which ssh
    may need. Raises ToolError when it stays locked.
    """
    key = config.get("user.signingkey", "")
    program = os.path.basename(config.get("gpg.ssh.program") or "ssh-keygen")
    if config.get("gpg.format") != "ssh" or program != "ssh-keygen" or not key:
        return None
    if literal_key(key) is not None:
        return None
    from gitkv.sign.locked import is_locked

    path = os.path.join(cwd, expanded(key, env))
    if not is_locked(path, env):
        return None
    from gitkv.sign.agent import agent_keys
    from gitkv.sign.unlocked import UnlockedKey

    if agent_keys(env):
        return None
    return UnlockedKey(path, Start(child_environment(env), _SSH_HINT, cwd))


def gpg_program(config: Mapping[str, str], env: Mapping[str, str]) -> str:
    """The OpenPGP program that git is configured with."""
    program = config.get("gpg.openpgp.program") or config.get("gpg.program") or "gpg"
    return expanded(program, env)


class GpgSigner:
    """Signs by `gpg -bsau KEY`."""

    def __init__(self, program: str, key: str, start: Start) -> None:
        self._argv = [program, "--status-fd=2", "-bsau", key]
        self._start = start

    def sign(self, payload: bytes) -> bytes:
        """An armoured signature of `payload`. Raises ToolError."""
        done = run(self._argv, payload, self._start)
        if (
            done.code or b"\n[GNUPG:] SIG_CREATED " not in b"\n" + done.err
        ):  # as git does: some wrappers end with 0 whatever happens
            raise _failed(self._argv[0], done, _GPG_HINT)
        from gitkv.sign import openpgp

        return _accepted(self._argv[0], done.out, openpgp.canonical, openpgp.parse)


class SshSigner:
    """Signs by `ssh-keygen -Y sign` with the key in a file. A passphrase is asked for once, however
    often it signs.
    """

    def __init__(self, program: str, key_file: str, start: Start) -> None:
        self._program, self._key_file, self._start = program, key_file, start
        self._unlocked: UnlockedKey | None = None

    def sign(self, payload: bytes) -> bytes:
        """An armoured signature of `payload`. Raises ToolError."""
        return _ssh_sign(self._program, [self._key_file], payload, self._ready())

    def _ready(self) -> Start:
        """How the program is started, with an agent that holds the key if it is locked. Another
        program than OpenSSH's has its own ways to ask.
        """
        path = os.path.join(self._start.cwd or "", self._key_file)
        if self._unlocked is None and os.path.basename(self._program) == "ssh-keygen":
            from gitkv.sign.locked import is_locked

            if is_locked(path, self._start.env):
                from gitkv.sign.unlocked import UnlockedKey

                self._unlocked = UnlockedKey(path, self._start)
        if self._unlocked is None:
            return self._start
        env = {**self._start.env, "SSH_AUTH_SOCK": self._unlocked.socket}
        return self._start._replace(env=env)


class SshAgentSigner:
    """Signs by `ssh-keygen -Y sign` with a key of the agent, given as its public line."""

    def __init__(self, program: str, public_line: str, start: Start) -> None:
        self._program, self._public_line, self._start = program, public_line, start

    def sign(self, payload: bytes) -> bytes:
        """An armoured signature of `payload`. Raises ToolError."""
        import tempfile

        with tempfile.NamedTemporaryFile(prefix="git-kv-key-") as file:
            file.write(os.fsencode(self._public_line) + b"\n")
            file.flush()
            return _ssh_sign(self._program, [file.name, "-U"], payload, self._start)


def _ssh_sign(program: str, key_arguments: list[str], payload: bytes, start: Start) -> bytes:
    done = run([program, "-Y", "sign", "-n", "git", "-f", *key_arguments], payload, start)
    if done.code:
        raise _failed(program, done, _SSH_HINT)
    from gitkv.sign import sshsig

    return _accepted(program, done.out, lambda armour: armour, sshsig.parse)


def _accepted(
    program: str,
    armour: bytes,
    normalise: Callable[[bytes], bytes],
    parse: Callable[[bytes], object],
) -> bytes:
    try:
        armour = normalise(armour)
        parse(armour)
    except ValueError as error:
        hint = "every reader would refuse it; sign with an Ed25519 key and ssh-keygen or GnuPG"
        raise ToolError(
            f"{program} made a signature that cannot be accepted: {error}", hint=hint
        ) from None
    return armour


def _failed(program: str, done: Finished, hint: str) -> ToolError:
    """What the program itself said, without GnuPG's status lines."""
    said = b"; ".join(
        line.strip()
        for line in done.err.split(b"\n")
        if line.strip() and not line.startswith(b"[GNUPG:]")
    )
    return ToolError(
        f"{program} did not sign (exit {done.code}): {printable(said) or 'it gave no reason'}",
        hint=hint,
    )


def literal_key(key: str) -> str | None:
    """The public key line, if the setting is one and not a path (git: is_literal_ssh_key)."""
    if key.startswith("key::"):
        return key.removeprefix("key::")
    return key if key.startswith("ssh-") else None


def expanded(path: str, env: Mapping[str, str]) -> str:
    """`~/x` and `~user/x` as git expands them."""
    if not path.startswith("~"):
        return path
    user, slash, rest = path[1:].partition("/")
    home = env.get("HOME", "") if not user else _home_of(user)
    if not home:
        raise ToolError(
            f"cannot tell which directory ~{printable(user)} is",
            hint="write the path out in the git configuration",
        )
    return home + slash + rest


def _home_of(user: str) -> str:
    import pwd

    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return ""
