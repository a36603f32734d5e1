"""Attacks by signatures: none, a stranger's, another spelling of a good one, a good one in another
place; and the honest kinds.
"""

from __future__ import annotations

import binascii
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.forge import Bend, Forge, Unharmed, assert_nothing_left, assert_refused, settled
from support.policies import add_principal, policy_text

from gitkv.model.environment import child_environment
from gitkv.model.refs import Namespace
from gitkv.model.ssh_wire import put_string, read_strings, take_string
from gitkv.sign.gateway_key import Ed25519Signer, generate
from gitkv.sign.process import Start
from gitkv.sign.signers import GpgSigner, SshSigner
from gitkv.testing.world import World

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
NISTP256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
Change = Callable[[bytes], bytes]
Sign = Callable[[bytes], bytes]

harmless = pytest.mark.usefixtures("unharmed")


def armoured(blob: bytes, width: int = 70) -> bytes:
    text = binascii.b2a_base64(blob, newline=False)
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    return b"\n".join(
        [b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""]
    )


def blob_of(armour: bytes) -> bytes:
    return binascii.a2b_base64(b"".join(armour.split(b"\n")[1:-2]))


def with_fields(change: Callable[[list[bytes]], list[bytes]]) -> Change:
    """`change` gets key, namespace, reserved, hash, signature."""
    return lambda armour: armoured(
        blob_of(armour)[:10] + b"".join(map(put_string, change(read_strings(blob_of(armour)[10:]))))
    )


def with_raw(change: Change) -> Change:
    """`change` gets the algorithm's own part."""

    def fields(parts: list[bytes]) -> list[bytes]:
        algorithm, at = take_string(parts[4], 0)
        raw, at = take_string(parts[4], at)
        return [*parts[:4], put_string(algorithm) + put_string(change(raw)) + parts[4][at:]]

    return with_fields(fields)


def grown_s(raw: bytes) -> bytes:
    return raw[:32] + (int.from_bytes(raw[32:], "little") + ED25519_ORDER).to_bytes(32, "little")


def spare_bits(armour: bytes) -> bytes:
    """Another last character before the padding that decodes to the same bytes."""
    head, padding, tail = armour.partition(b"=")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return (
        head[:-1]
        + alphabet[alphabet.index(head[-1]) ^ 1 : (alphabet.index(head[-1]) ^ 1) + 1]
        + padding
        + tail
        if padding
        else armour + b"\n"
    )


SPELLINGS: dict[str, Change] = {
    "s grown by the order": with_raw(grown_s),
    "bytes after the signature": with_raw(lambda raw: raw + b"\0"),
    "lines of 64": lambda armour: armoured(blob_of(armour), 64),
    "lines of 76": lambda armour: armoured(blob_of(armour), 76),
    "one line": lambda armour: armoured(blob_of(armour), 10_000),
    "CR line ends": lambda armour: armour.replace(b"\n", b"\r\n"),
    "an empty line": lambda armour: armour.replace(b"-----\n", b"-----\n\n", 1),
    "a space at a line's end": lambda armour: armour.replace(b"-----\n", b"-----\n ", 1),
    "a header": lambda armour: armour.replace(b"-----\n", b"-----\nComment: x\n", 1),
    "text in front": lambda armour: b"x\n" + armour,
    "text after": lambda armour: armour + b"x\n",
    "two signatures": lambda armour: armour + armour,
    "spare bits": spare_bits,
    "a hash by another name": with_fields(lambda parts: [*parts[:3], b"SHA512", parts[4]]),
    "a reserved field": with_fields(lambda parts: [*parts[:2], b"x", *parts[3:]]),
    "one field more": with_fields(lambda parts: [*parts, b"x"]),
    "version 2": lambda armour: armoured(blob_of(armour)[:6] + b"\0\0\0\2" + blob_of(armour)[10:]),
    "no end": lambda armour: armour[:-30],
    "no armour": lambda armour: b"x\n",
    "PGP armour": lambda armour: armour.replace(b"SSH", b"PGP"),
    "64 KiB of it": lambda armour: armour.replace(
        b"-----\n", b"-----\n" + b"A" * 40_000 + b"\n", 1
    ),
}


@harmless
@pytest.mark.parametrize("change", SPELLINGS.values(), ids=SPELLINGS)
def test_another_spelling_of_a_good_signature_is_refused(forge: Forge, change: Change) -> None:
    assert_refused(
        forge.push(forge.transaction(bend=Bend(armour=change))),
        8,
        "signature.malformed",
        "signature.bad",
        "commit.headers",
    )


@harmless
@pytest.mark.parametrize("namespace", [b"file", b"email", b""])
def test_a_signature_made_for_another_purpose_is_refused(forge: Forge, namespace: bytes) -> None:
    change = with_fields(lambda parts: [parts[0], namespace, *parts[2:]])

    assert_refused(forge.push(forge.transaction(bend=Bend(armour=change))), 8)


@harmless
def test_an_unsigned_commit_is_refused(forge: Forge) -> None:
    assert_refused(
        forge.push(forge.transaction(bend=Bend(sign=lambda payload: b""))), 3, "signature.unsigned"
    )


@harmless
def test_a_strangers_signature_is_refused(forge: Forge) -> None:
    stranger = Ed25519Signer(generate()[0])

    assert_refused(
        forge.push(forge.transaction(bend=Bend(sign=stranger.sign))), 3, "signature.unknown-key"
    )


@harmless
def test_the_gateways_own_key_is_no_writers(forge: Forge) -> None:
    gateway = Ed25519Signer((forge.world.gate / "kv" / "gateway_key").read_bytes())

    assert_refused(
        forge.push(forge.transaction(bend=Bend(sign=gateway.sign))), 3, "signature.unknown-key"
    )


@harmless
def test_a_signature_over_something_else_is_refused(forge: Forge) -> None:
    answered = forge.push(
        forge.transaction(bend=Bend(sign=lambda payload: forge.signer.sign(payload + b"x")))
    )

    assert_refused(answered, 8, "signature.bad")


@harmless
def test_a_strangers_signature_under_a_writers_key_is_refused(forge: Forge) -> None:
    stranger = Ed25519Signer(generate()[0])
    own = read_strings(blob_of(forge.signer.sign(b"x"))[10:])[0]
    posing = with_fields(lambda parts: [own, *parts[1:]])

    answered = forge.push(forge.transaction(bend=Bend(sign=stranger.sign, armour=posing)))

    assert_refused(answered, 8, "signature.bad")


def test_the_signature_of_an_earlier_transaction_does_not_fit_the_next(
    forge: Forge, unharmed: Unharmed
) -> None:
    """`forge.tip()` is signed by bob as well: its armour is as good as any, elsewhere."""
    forge.push_good()
    unharmed.again()
    armour = forge.tip().ledger.commit.armour

    answered = forge.push(forge.transaction(bend=Bend(sign=lambda payload: armour)))

    assert_refused(answered, 8, "signature.bad")


@harmless
def test_a_commit_in_anothers_name_is_refused_when_the_policy_knows_the_name(
    world: World, forge: Forge
) -> None:
    """Emails are unlisted here, so the name is free; what is not free is the key."""
    as_alice = Bend(
        identity=lambda line: re.sub(rb"^.*<[^>]*>", b"Alice <alice@example.com>", line),
        sign=lambda payload: b"",
    )

    assert_refused(forge.push(forge.transaction(bend=as_alice)), 3, "signature.unsigned")


def test_a_transaction_of_another_repository_is_refused(
    world: World, forge: Forge, tmp_path_factory: pytest.TempPathFactory, unharmed: Unharmed
) -> None:
    """The same people, keys and namespace; signed transactions of one store pushed to the other,
    with and without its history.
    """
    other = World(tmp_path_factory.mktemp("other"))
    other.people = dict(world.people)
    try:
        other.create().start()
        with Forge(other, world.person("bob")) as elsewhere:
            foreign = elsewhere.transaction()
            first = elsewhere.tip().ledger.oid
            history = {
                oid: (b"commit", elsewhere.store.read(oid, b"commit"))
                for oid in (first, elsewhere.tip().index_oid)
            }
    finally:
        other.close()
    here = forge.tip()
    moves = tuple(
        update._replace(old=old)
        for update, old in zip(foreign.updates, (here.ledger.oid, here.index_oid), strict=True)
    )

    assert_refused(forge.push(foreign._replace(updates=moves)), 5, "pack.refused")
    assert_refused(
        forge.push(foreign._replace(updates=moves, objects=foreign.objects | history)),
        8,
        "history.foreign",
    )


@harmless
def test_a_transaction_of_another_namespace_is_refused(forge: Forge) -> None:
    """Signed for the namespace `other`, pushed to `main`; and the other way about."""
    signed_for_other = forge.transaction(
        bend=Bend(said=lambda said: said._replace(ns=Namespace("other")))
    )
    assert_refused(forge.push(signed_for_other), 8, "attestation.namespace")

    forged = forge.transaction()
    names = (b"refs/kv/other", b"refs/kv-index/other")
    moves = tuple(
        update._replace(ref=name) for update, name in zip(forged.updates, names, strict=True)
    )
    assert_refused(forge.push(forged._replace(updates=moves)), 3, "namespace.unknown")


# Honest signatures of other kinds, and what can be done to them.


@pytest.fixture(scope="module")
def ecdsa(world: World, admin_forge: Forge, tmp_path_factory: pytest.TempPathFactory) -> Sign:
    """Carol signs with ECDSA."""
    folder = tmp_path_factory.mktemp("carol")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-C", "", "-f", str(folder / "id")],
        check=True,
    )
    text = add_principal(policy_text(world), "carol", key=(folder / "id.pub").read_text().strip())
    answered = admin_forge.push(admin_forge.policy_change(text))
    assert answered.accepted, answered
    return SshSigner(
        "ssh-keygen",
        str(folder / "id"),
        Start(child_environment(world.base_env()), "", str(folder)),
    ).sign


@pytest.fixture(scope="module")
def openpgp(
    world: World, admin_forge: Forge, gpg_tool: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sign]:
    """Dora signs with GnuPG."""
    home = Path(tmp_path_factory.mktemp("gpg"))
    home.chmod(0o700)
    env = child_environment(world.base_env()) | {"GNUPGHOME": str(home)}
    gpg = [gpg_tool, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]
    subprocess.run(
        [*gpg, "--quick-gen-key", "dora <dora@example.com>", "ed25519", "sign", "never"],
        env=env,
        check=True,
        capture_output=True,
    )
    block = subprocess.run(
        [*gpg, "--armor", "--export", "dora@example.com"], env=env, check=True, capture_output=True
    ).stdout.decode()
    answered = admin_forge.push(
        admin_forge.policy_change(add_principal(policy_text(world), "dora", openpgp=block))
    )
    assert answered.accepted, answered
    yield GpgSigner("gpg", "dora@example.com", Start(env, "", str(home))).sign
    subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False, capture_output=True)


def test_a_writer_may_sign_with_openpgp(forge: Forge, openpgp: Sign) -> None:
    answered = forge.push(forge.transaction(bend=Bend(sign=openpgp)))

    assert answered.accepted, answered


def test_a_writer_may_sign_with_ecdsa(forge: Forge, ecdsa: Sign) -> None:
    answered = forge.push(forge.transaction(bend=Bend(sign=ecdsa)))

    assert answered.accepted, answered


PGP_SPELLINGS: dict[str, Change] = {
    "a version header": lambda armour: armour.replace(
        b"-----\n\n", b"-----\nVersion: GnuPG v2\n\n", 1
    ),
    "a comment": lambda armour: armour.replace(b"-----\n\n", b"-----\nComment: x\n\n", 1),
    "no checksum": lambda armour: re.sub(rb"\n=[^\n]{4}\n", b"\n", armour),
    "text in front": lambda armour: b"x\n" + armour,
    "two signatures": lambda armour: armour + armour,
    "a message's armour": lambda armour: armour.replace(b"PGP SIGNATURE", b"PGP MESSAGE"),
    "rewrapped": lambda armour: re.sub(
        rb"\n([^\n]{64})\n?([^\n=]{1,63})(\n|=)", rb"\n\1\n\2\3", armour.replace(b"\n", b"\n ", 3)
    ),
}


@pytest.mark.parametrize("change", PGP_SPELLINGS.values(), ids=PGP_SPELLINGS)
def test_another_spelling_of_a_good_openpgp_signature_is_refused(
    world: World, forge: Forge, openpgp: Sign, change: Change
) -> None:
    before = settled(world)

    answered = forge.push(forge.transaction(bend=Bend(sign=openpgp, armour=change)))

    assert_refused(answered, 8)
    assert_nothing_left(world, before)
    forge.push_good()


def test_an_unknown_openpgp_key_is_refused(
    world: World, forge: Forge, openpgp: Sign, gpg_tool: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    env = child_environment(world.base_env()) | {"GNUPGHOME": str(tmp_path)}
    gpg = [gpg_tool, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]
    subprocess.run(
        [*gpg, "--quick-gen-key", "eve <eve@example.com>", "ed25519", "sign", "never"],
        env=env,
        check=True,
        capture_output=True,
    )
    stranger = GpgSigner("gpg", "eve@example.com", Start(env, "", str(tmp_path)))
    before = settled(world)

    answered = forge.push(forge.transaction(bend=Bend(sign=stranger.sign)))
    subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False, capture_output=True)

    assert_refused(answered, 3, "signature.unknown-key")
    assert_nothing_left(world, before)


def ecdsa_numbers(change: Callable[[int, int], tuple[bytes, bytes]]) -> Change:
    def raw(body: bytes) -> bytes:
        r, s = (int.from_bytes(field, "big") for field in read_strings(body))
        return b"".join(map(put_string, change(r, s)))

    return with_raw(raw)


def number(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


ECDSA_FORMS: dict[str, Change] = {
    "r padded": ecdsa_numbers(lambda r, s: (b"\0" + number(r), number(s))),
    "s padded": ecdsa_numbers(lambda r, s: (number(r), b"\0\0" + number(s))),
    "s grown by the order": ecdsa_numbers(lambda r, s: (number(r), number(s + NISTP256_ORDER))),
    "r grown by the order": ecdsa_numbers(lambda r, s: (number(r + NISTP256_ORDER), number(s))),
    "three numbers": ecdsa_numbers(lambda r, s: (number(r), number(s) + b"\0")),
    "zero": ecdsa_numbers(lambda r, s: (b"", b"")),
    "lines of 64": lambda armour: armoured(blob_of(armour), 64),
}


@pytest.mark.parametrize("change", ECDSA_FORMS.values(), ids=ECDSA_FORMS)
def test_a_malleated_ecdsa_signature_is_refused(
    world: World, forge: Forge, ecdsa: Sign, change: Change
) -> None:
    before = settled(world)

    answered = forge.push(forge.transaction(bend=Bend(sign=ecdsa, armour=change)))

    assert_refused(answered, 8)
    assert_nothing_left(world, before)
    forge.push_good()


def test_the_twin_of_an_ecdsa_signature_cannot_make_a_second_transaction(
    world: World, forge: Forge, ecdsa: Sign
) -> None:
    """n - s verifies as well as s. The twin has another id and the same transaction id, base and
    number: it is late, or a replay.
    """
    twin = ecdsa_numbers(lambda r, s: (number(r), number(NISTP256_ORDER - s)))
    forged = forge.transaction(bend=Bend(sign=ecdsa))
    assert forge.push(forged).accepted
    before = settled(world)
    payload = re.sub(rb"gpgsig [^\n]*\n(?: [^\n]*\n)*", b"", forged.commit_body)
    match = re.search(rb"gpgsig ([^\n]*\n(?: [^\n]*\n)*)", forged.commit_body)
    assert match is not None
    armour = twin(match[1].replace(b"\n ", b"\n"))
    again = forge.transaction(
        base=forged.base, bend=Bend(payload=lambda body: payload, sign=lambda body: armour)
    )

    assert_refused(forge.push(again), 2, "base.stale")
    assert_nothing_left(world, before)
