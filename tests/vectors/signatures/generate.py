"""Writes this folder anew, with fresh keys: `python tests/vectors/signatures/generate.py`. Needs
ssh-keygen, gpg and cryptography.

`payload` is what every `NAME.sig` signs; `NAME.pub` or `NAME.asc` is the key. OpenPGP keys and
signatures are made at 1700000000. Security keys are hardware: their two signatures are composed
from OpenSSH's PROTOCOL.u2f, and `ssh-keygen -Y verify` must agree.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

HERE = Path(__file__).parent
PAYLOAD = (
    b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@b.invalid> 1700000000 +0000\n\n"
    b"signed \xc3\xa9\n"
)
MADE_AT = 1_700_000_000
APPLICATION = b"ssh:"
SSH_KEYS = {
    "ssh-ed25519": ("ed25519", "256"),
    "ssh-rsa": ("rsa", "2048"),
    "ecdsa-sha2-nistp256": ("ecdsa", "256"),
    "ecdsa-sha2-nistp384": ("ecdsa", "384"),
    "ecdsa-sha2-nistp521": ("ecdsa", "521"),
}


def string(field: bytes) -> bytes:
    return len(field).to_bytes(4, "big") + field


def mpint(value: int) -> bytes:
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def run(*argv: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(argv, input=stdin, check=True, stdout=subprocess.PIPE).stdout


def ssh_keygen_vectors(directory: Path) -> None:
    for name, (kind, bits) in SSH_KEYS.items():
        key = directory / name
        run("ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-C", "vector", "-f", str(key))
        (HERE / f"{name}.pub").write_bytes(key.with_suffix(".pub").read_bytes())
        (HERE / f"{name}.sig").write_bytes(
            run("ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(key), stdin=PAYLOAD)
        )


def security_key_vector(kind: bytes, public: bytes, sign: Callable[[bytes], bytes]) -> None:
    blob = string(kind) + public + string(APPLICATION)
    data = (
        b"SSHSIG"
        + string(b"git")
        + string(b"")
        + string(b"sha512")
        + string(hashlib.sha512(PAYLOAD).digest())
    )
    flags_and_counter = b"\x01" + (7).to_bytes(4, "big")
    raw = sign(
        hashlib.sha256(APPLICATION).digest() + flags_and_counter + hashlib.sha256(data).digest()
    )
    signature = string(kind) + string(raw) + flags_and_counter
    body = (
        b"SSHSIG\0\0\0\1"
        + string(blob)
        + string(b"git")
        + string(b"")
        + string(b"sha512")
        + string(signature)
    )
    text = b64encode(body)
    lines = b"".join(text[at : at + 70] + b"\n" for at in range(0, len(text), 70))
    name = kind.decode().removesuffix("@openssh.com")
    (HERE / f"{name}.pub").write_bytes(kind + b" " + b64encode(blob) + b" vector\n")
    (HERE / f"{name}.sig").write_bytes(
        b"-----BEGIN SSH SIGNATURE-----\n" + lines + b"-----END SSH SIGNATURE-----\n"
    )


def security_key_vectors() -> None:
    edwards = ed25519.Ed25519PrivateKey.generate()
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    security_key_vector(
        b"sk-ssh-ed25519@openssh.com", string(edwards.public_key().public_bytes(*raw)), edwards.sign
    )
    nist = ec.generate_private_key(ec.SECP256R1())
    point = nist.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )

    def sign(message: bytes) -> bytes:
        return b"".join(
            map(mpint, decode_dss_signature(nist.sign(message, ec.ECDSA(hashes.SHA256()))))
        )

    security_key_vector(
        b"sk-ecdsa-sha2-nistp256@openssh.com", string(b"nistp256") + string(point), sign
    )


def check_with_ssh_keygen(directory: Path) -> None:
    for key in sorted(HERE.glob("*.pub")):
        allowed = directory / "allowed"
        allowed.write_bytes(b"vector " + key.read_bytes())
        signature = str(key.with_suffix(".sig"))
        run(
            "ssh-keygen",
            "-Y",
            "verify",
            "-f",
            str(allowed),
            "-I",
            "vector",
            "-n",
            "git",
            "-s",
            signature,
            stdin=PAYLOAD,
        )


class Gpg:
    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self.home = str(home)

    def __call__(self, *arguments: str, stdin: bytes = b"") -> bytes:
        options = [
            "--batch",
            "--quiet",
            "--passphrase",
            "",
            "--pinentry-mode",
            "loopback",
            "--faked-system-time",
            f"{MADE_AT}!",
        ]
        return run("gpg", "--homedir", self.home, *options, *arguments, stdin=stdin)

    def make(self, name: str, algorithm: str, expires: str = "0") -> str:
        self("--quick-gen-key", f"{name} <{name}@example.invalid>", algorithm, "sign", expires)
        return self.fingerprint(name)

    def fingerprint(self, name: str) -> str:
        lines = self("--with-colons", "--list-keys", name).split(b"\n")
        return next(line.split(b":")[9].decode() for line in lines if line.startswith(b"fpr:"))

    def write(self, vector: str, name: str, *options: str) -> None:
        (HERE / f"{vector}.asc").write_bytes(self("--export", "--armor", name))
        (HERE / f"{vector}.sig").write_bytes(self(*options, "-bsau", name, stdin=PAYLOAD))


def openpgp_vectors(gpg: Gpg) -> None:
    for vector, algorithm, expires in [
        ("openpgp-ed25519", "ed25519", "0"),
        ("openpgp-rsa", "rsa2048", "0"),
        ("openpgp-nistp256", "nistp256", "0"),
        ("openpgp-expiring", "ed25519", "1d"),
    ]:
        gpg.make(vector, algorithm, expires)
        gpg.write(vector, vector)
    gpg("--quick-add-key", gpg.make("openpgp-subkey", "ed25519"), "ed25519", "sign", "0")
    gpg.write("openpgp-subkey", "openpgp-subkey")
    gpg.make("openpgp-brief", "ed25519")
    gpg.write("openpgp-brief", "openpgp-brief", "--default-sig-expire", "1d")
    revoked = gpg.make("openpgp-revoked", "ed25519")
    gpg.write("openpgp-revoked", "openpgp-revoked")
    certificate = (Path(gpg.home) / "openpgp-revocs.d" / f"{revoked}.rev").read_bytes()
    gpg("--import", stdin=certificate[certificate.index(b"-----BEGIN") :])
    (HERE / "openpgp-revoked.asc").write_bytes(gpg("--export", "--armor", "openpgp-revoked"))


def main() -> None:
    (HERE / "payload").write_bytes(PAYLOAD)
    with tempfile.TemporaryDirectory(prefix="vectors-") as name:
        directory = Path(name)
        ssh_keygen_vectors(directory)
        security_key_vectors()
        check_with_ssh_keygen(directory)
        gpg = Gpg(directory / "gnupg")
        try:
            openpgp_vectors(gpg)
        finally:
            run("gpgconf", "--homedir", gpg.home, "--kill", "all")


if __name__ == "__main__":
    main()
