"""Asks GnuPG whether an OpenPGP signature holds, in a home that knows the policy's keys and nothing
else.

The user's own home is never opened, no agent, keyserver or configuration is used, and GnuPG's clock
is the judge's. Homes are kept per set of keys, since filling one takes longer than checking with
it; whoever owns the directory may empty it at any time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256

from gitkv.errors import ToolError
from gitkv.model import public_key
from gitkv.model.environment import child_environment
from gitkv.model.identity import PublicKey, Signature
from gitkv.model.openpgp_packets import KeyPacket, dearmour
from gitkv.model.verdict import PART_CHARS_MAX, printable
from gitkv.sign import openpgp
from gitkv.sign.process import Finished, Start, run

TIMEOUT_S = 60.0
REMEDY = "install GnuPG, for example: apt-get install gnupg"
_NO_PUBLIC_KEY = b"9"  # ERRSIG's reason
_VERDICTS = {
    b"GOODSIG": ("good", ""),
    b"EXPKEYSIG": ("expired-key", "the key has expired by its own date"),
    b"REVKEYSIG": ("revoked-key", "the key was revoked by its owner"),
    b"EXPSIG": ("bad", "the signature has expired by its own date"),
    b"BADSIG": ("bad", "the signature does not verify"),
    b"ERRSIG": ("bad", "GnuPG cannot check the signature"),
}


class GnupgVerifier:
    """Verifies OpenPGP signatures against given keys."""

    def __init__(self, gnupg_dir: str, env: Mapping[str, str]) -> None:
        """`gnupg_dir`: where homes are made (created with mode 0700); it must belong to this user
        alone.
        """
        self._dir = gnupg_dir
        self._env = {
            name: value
            for name, value in child_environment(env).items()
            if not name.startswith(("GNUPG", "GPG"))
        }

    def verify(
        self, payload: bytes, armour: bytes, keys: Sequence[PublicKey], now_s: int
    ) -> Signature:
        """`keys` are OpenPGP keys. The fingerprint of the outcome is the primary key's. Raises
        ToolError when GnuPG cannot be used.
        """
        try:
            signature = openpgp.parse(armour)
        except ValueError as error:
            return Signature("malformed", "", str(error))
        owner, packet = _owner(signature.issuer, keys)
        if owner is None or packet is None:
            return Signature("unknown-key", signature.issuer, "no key of the policy")
        if not openpgp.fits(signature, packet) or not openpgp.covers(signature, payload):
            return Signature(
                "bad", owner.fingerprint, "the signature does not fit the commit or the key"
            )
        if not public_key.is_sound(owner):
            return Signature("bad", owner.fingerprint, "anybody can sign with this key")
        return _outcome(self._ask(payload, armour, keys, now_s), owner)

    def _ask(
        self, payload: bytes, armour: bytes, keys: Sequence[PublicKey], now_s: int
    ) -> Finished:
        home = self._home(keys)
        try:
            with tempfile.NamedTemporaryFile(dir=self._dir, prefix="signature-") as file:
                file.write(armour)
                file.flush()
                return self._gpg(
                    home,
                    ["--faked-system-time", f"{now_s}!", "--verify", "--", file.name, "-"],
                    payload,
                )
        except OSError as error:
            raise ToolError(f"cannot write to {self._dir}: {error}") from None

    def _gpg(self, home: str, arguments: list[str], stdin: bytes) -> Finished:
        quiet = [
            "--batch",
            "--no-tty",
            "--no-options",
            "--no-autostart",
            "--disable-dirmngr",
            "--no-auto-key-retrieve",
        ]
        argv = [
            "gpg",
            "--homedir",
            home,
            *quiet,
            "--trust-model",
            "always",
            "--no-auto-check-trustdb",
            "--status-fd",
            "1",
            *arguments,
        ]
        return run(argv, stdin, Start(self._env | {"HOME": home}, REMEDY, timeout_s=TIMEOUT_S))

    def _home(self, keys: Sequence[PublicKey]) -> str:
        """A home holding exactly `keys`, made when first asked for."""
        blocks = sorted({_contents(key.material)[0] for key in keys})
        home = os.path.join(
            self._dir, sha256(b"".join(sha256(block).digest() for block in blocks)).hexdigest()[:40]
        )
        _own_directory(self._dir)
        if not os.path.isdir(home):
            self._fill(home, b"".join(blocks))
        return home

    def _fill(self, home: str, blocks: bytes) -> None:
        """Imports under another name first: a home is whole or not there, even when two processes
        make it at once.
        """
        fresh = tempfile.mkdtemp(dir=self._dir, prefix="home-")
        try:
            done = self._gpg(fresh, ["--import"], blocks)
            if not any(line.startswith(b"[GNUPG:] IMPORT_RES ") for line in done.out.split(b"\n")):
                raise ToolError(f"gpg cannot read the policy's keys: {_last_words(done)}")
            os.rename(fresh, home)
        except OSError as error:
            if not os.path.isdir(home):
                raise ToolError(f"cannot keep keys in {self._dir}: {error}") from None
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _own_directory(path: str) -> None:
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        status = os.lstat(path)
    except OSError as error:
        raise ToolError(f"cannot keep keys in {path}: {error}") from None
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise ToolError(
            f"{path} is open to other users", hint=f"chmod 700 {path}, or choose another directory"
        )


@lru_cache(maxsize=256)
def _contents(material: bytes) -> tuple[bytes, tuple[KeyPacket, ...]]:
    """A key without its armour, and its primary key and subkeys. Checksums make this slow, and the
    same keys come with every commit.
    """
    return dearmour(material).data, tuple(public_key.openpgp_keys(material))


def _owner(issuer: str, keys: Sequence[PublicKey]) -> tuple[PublicKey | None, KeyPacket | None]:
    """The policy's key that `issuer` is the primary key or a subkey of."""
    for key in keys:
        for packet in _contents(key.material)[1]:
            if packet.fingerprint == issuer:
                return key, packet
    return None, None


def _last_words(done: Finished) -> str:
    return printable(done.err.strip()[-PART_CHARS_MAX:])


def _outcome(done: Finished, owner: PublicKey) -> Signature:
    """GnuPG's status lines (its doc/DETAILS) as an outcome: good only if it said so exactly once,
    and of the key we expected.
    """
    lines = [
        line.split(b" ")[1:] for line in done.out.split(b"\n") if line.startswith(b"[GNUPG:] ")
    ]
    verdicts = [words for words in lines if words[0] in _VERDICTS]
    if done.code < 0 or not lines:
        raise ToolError(f"gpg ended with {done.code} and no answer: {_last_words(done)}")
    if len(verdicts) != 1:
        return Signature(
            "bad", owner.fingerprint, f"GnuPG gave no single verdict: {_last_words(done)}"
        )
    words = verdicts[0]
    status, detail = _VERDICTS[words[0]]
    if words[0] == b"ERRSIG" and len(words) > 6 and words[6] == _NO_PUBLIC_KEY:
        return Signature(
            "unknown-key", owner.fingerprint, "GnuPG could not load this key of the policy"
        )
    primaries = [words[-1] for words in lines if words[0] == b"VALIDSIG"]
    if status == "good" and (primaries != [owner.fingerprint.encode("ascii")] or done.code):
        return Signature("bad", owner.fingerprint, "GnuPG names another key")
    return Signature(status, owner.fingerprint, detail or "checked by GnuPG")
