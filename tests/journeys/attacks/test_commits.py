"""Attacks by the bytes of a ledger commit: headers, people, dates, message, trailers, and what the
trailers claim.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from support.forge import Bend, Forge, Forged, Unharmed, assert_refused, fresh_txn

from gitkv.ledger.plan import Put
from gitkv.model.attestation import Attestation
from gitkv.model.oid import Oid
from gitkv.model.refs import EpochLabel, Namespace

pytestmark = pytest.mark.usefixtures("unharmed")

OTHER = Oid(bytes(range(20)))
Change = Callable[[bytes], bytes]


def before_headers_end(extra: bytes) -> Change:
    return lambda body: body.replace(b"\n\n", b"\n" + extra + b"\n\n", 1)


def line_again(name: bytes) -> Change:
    """The header line that starts so, twice."""
    return lambda body: re.sub(rb"(?m)^(%b [^\n]*\n)" % name, rb"\1\1", body, count=1)


def swapped(body: bytes) -> bytes:
    lines = body.split(b"\n")
    lines[0], lines[1] = lines[1], lines[0]
    return b"\n".join(lines)


SIGNED_HEADERS: dict[str, tuple[int, Change]] = {
    "encoding": (8, before_headers_end(b"encoding ISO-8859-1")),
    "mergetag": (
        8,
        before_headers_end(b"mergetag object 0123456789012345678901234567890123456789"),
    ),
    "an unknown header": (8, before_headers_end(b"x-evil yes")),
    "HG:extra": (8, before_headers_end(b"HG:extra rebase_source:1")),
    "gpgsig-sha256": (8, before_headers_end(b"gpgsig-sha256 x")),
    "two trees": (8, line_again(b"tree")),
    "two committers": (8, line_again(b"committer")),
    "two authors": (8, line_again(b"author")),
    "parent before tree": (5, swapped),
    "CR line ends": (5, lambda body: body.replace(b"\n", b"\r\n")),
    "an id in capitals": (
        8,
        lambda body: re.sub(rb"^tree ([0-9a-f]+)", lambda m: b"tree " + m[1].upper(), body),
    ),
    "no empty line": (8, lambda body: body.replace(b"\n\n", b"\n", 1)),
    "NUL in the message": (8, lambda body: body.replace(b"kv: forged", b"kv: for\0ged")),
}


@pytest.mark.parametrize(("code", "change"), SIGNED_HEADERS.values(), ids=SIGNED_HEADERS)
def test_a_signed_commit_with_other_headers_is_refused(
    forge: Forge, code: int, change: Change
) -> None:
    answered = forge.push(forge.transaction(bend=Bend(payload=change)))

    assert_refused(answered, code)


def doubled_signature(body: bytes) -> bytes:
    match = re.search(rb"gpgsig [^\n]*\n(?: [^\n]*\n)*", body)
    assert match is not None
    return body[: match.end()] + match[0] + body[match.end() :]


UNSIGNED_HEADERS: dict[str, Change] = {
    "the signature twice": doubled_signature,
    "another signature in front": lambda body: body.replace(b"gpgsig ", b"gpgsig x\ngpgsig ", 1),
    "the signature after another header": lambda body: body.replace(
        b"gpgsig ", b"encoding utf-8\ngpgsig ", 1
    ),
    "an empty signature line more": lambda body: body.replace(
        b"-----END SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n \n"
    ),
    "a signature for SHA-256": lambda body: body.replace(b"gpgsig ", b"gpgsig-sha256 ", 1),
    "the signature before the committer": lambda body: re.sub(
        rb"(committer [^\n]*\n)(gpgsig (?:[^\n]*\n)(?: [^\n]*\n)*)", rb"\2\1", body
    ),
}


@pytest.mark.parametrize("change", UNSIGNED_HEADERS.values(), ids=UNSIGNED_HEADERS)
def test_headers_changed_behind_the_signers_back_are_refused(forge: Forge, change: Change) -> None:
    answered = forge.push(forge.transaction(bend=Bend(body=change)))

    assert_refused(answered, 8)


def test_a_merge_is_refused(forge: Forge) -> None:
    base = forge.tip()
    more = (
        b"\nparent " + base.ledger.commit.parents[0].hex().encode()
        if base.ledger.commit.parents
        else b""
    )
    merged = Bend(
        payload=lambda body: re.sub(rb"(\nparent [0-9a-f]{40})", rb"\1" + (more or rb"\1"), body)
    )

    assert_refused(forge.push(forge.transaction(bend=merged)), 3, "commit.parents")


def test_the_same_parent_twice_is_refused(forge: Forge) -> None:
    answered = forge.push(forge.transaction(bend=Bend(payload=line_again(b"parent"))))

    assert_refused(answered, 3, "commit.parents")


def test_an_orphan_is_refused(forge: Forge) -> None:
    answered = forge.push(
        forge.transaction(
            bend=Bend(payload=lambda body: re.sub(rb"\nparent [0-9a-f]{40}", b"", body))
        )
    )

    assert_refused(answered, 3, "commit.parents")


IDENTITIES: dict[str, tuple[int, Change]] = {
    "no name": (3, lambda line: line[line.index(b"<") :]),
    "no email": (3, lambda line: re.sub(rb"<[^>]*>", b"<>", line)),
    "a long name": (3, lambda line: b"x" * 129 + line[line.index(b" <") :]),
    "LF written as CR in the name": (3, lambda line: b"a\rb" + line),
    "ESC in the name": (3, lambda line: b"\x1b[31m" + line),
    "C1 in the name": (3, lambda line: b"\xc2\x9b31m" + line),
    "not UTF-8": (3, lambda line: b"\xff" + line),
    "two zones": (3, lambda line: line + b" +0000"),
    "the year 10000": (3, lambda line: re.sub(rb"> \d+", b"> 253402300800", line)),
    "2^64": (3, lambda line: re.sub(rb"> \d+", b"> 18446744073709551616", line)),
    "before 1970": (3, lambda line: re.sub(rb"> \d+", b"> -1", line)),
    "1970": (3, lambda line: re.sub(rb"> \d+", b"> 1", line)),
    "a leading zero": (3, lambda line: re.sub(rb"> ", b"> 0", line)),
    "in eleven minutes": (3, lambda line: re.sub(rb"> \d+", b"> %d" % (time.time() + 660), line)),
    "a wild zone": (3, lambda line: line.replace(b"+0000", b"+9999")),
    "underscores": (3, lambda line: re.sub(rb"> (\d)", rb"> \1_", line)),
}


@pytest.mark.parametrize(("code", "change"), IDENTITIES.values(), ids=IDENTITIES)
def test_people_and_dates_that_cannot_be_are_refused(
    forge: Forge, code: int, change: Change
) -> None:
    answered = forge.push(forge.transaction(bend=Bend(identity=change)))

    assert_refused(
        answered, code, "commit.identity", "commit.time", "pack.refused"
    )  # git's own check of the pack may be first


def test_an_author_other_than_the_committer_is_refused(forge: Forge) -> None:
    forged = Bend(
        payload=lambda body: re.sub(
            rb"\nauthor [^<]*<[^>]*>", b"\nauthor Alice <alice@example.com>", body
        )
    )

    assert_refused(forge.push(forge.transaction(bend=forged)), 3, "commit.identity")


def test_a_message_of_eight_mebibytes_is_refused(forge: Forge) -> None:
    answered = forge.push(forge.transaction(text="kv: long\n\n" + "x" * (8 << 20)))

    assert_refused(answered, 3, "commit.size")


def test_a_commit_that_inflates_to_a_quarter_of_a_gigabyte_is_refused_cheaply(
    forge: Forge, peak_mib: Callable[[], float]
) -> None:
    before = peak_mib()

    answered = forge.push(forge.transaction(text="kv: bomb\n\n" + "x" * (256 << 20)))

    assert_refused(answered, 5, "pack.refused")
    assert peak_mib() - before < 120


def test_each_commit_of_a_push_is_judged(forge: Forge) -> None:
    """An unsigned one in the middle, after which everything is in order."""
    first = forge.transaction()
    second = forge.transaction(base=forge.tip_of(first), bend=Bend(armour=lambda armour: b""))
    third = forge.transaction(base=forge.tip_of(second))

    answered = forge.push(one_push(first, second, third))

    assert_refused(answered, 3, "signature.unsigned")


def test_honest_commits_may_come_several_at_once(forge: Forge, unharmed: Unharmed) -> None:
    first = forge.transaction()
    second = forge.transaction(base=forge.tip_of(first))

    answered = forge.push(one_push(first, second))

    assert answered.accepted, answered
    unharmed.again()


def test_an_intermediate_index_commit_that_was_left_out_is_missed(forge: Forge) -> None:
    first = forge.transaction()
    second = forge.transaction(base=forge.tip_of(first))
    push = one_push(first, second)
    del push.objects[first.index]

    assert_refused(forge.push(push), 5)


def test_three_hundred_commits_in_one_push_are_too_many(forge: Forge) -> None:
    steps = [forge.transaction()]
    while len(steps) < 258:
        steps.append(forge.transaction(base=forge.tip_of(steps[-1])))

    assert_refused(forge.push(one_push(*steps)), 3, "push.commits")


def one_push(*steps: Forged) -> Forged:
    objects = {oid: thing for step in steps for oid, thing in step.objects.items()}
    moves = [
        before._replace(new=after.new)
        for before, after in zip(steps[0].updates, steps[-1].updates, strict=True)
    ]
    return steps[-1]._replace(objects=objects, updates=tuple(moves))


def split_block(message: bytes) -> tuple[bytes, bytes]:
    text, _, block = message.rpartition(b"\n\n")
    return text, block


def edited(change: Callable[[list[bytes]], list[bytes]]) -> Change:
    """`change` gets the lines of the trailer block."""

    def apply(message: bytes) -> bytes:
        text, block = split_block(message)
        return text + b"\n\n" + b"\n".join(change(block.removesuffix(b"\n").split(b"\n"))) + b"\n"

    return apply


def said_before(extra: bytes) -> Change:
    """`extra` in the text in front of the trailer block."""
    return lambda message: split_block(message)[0] + extra + b"\n\n" + split_block(message)[1]


SEQ = b"KV-Seq: 999"
MESSAGES: dict[str, Change] = {
    "a trailer twice": edited(lambda lines: [*lines, lines[3]]),
    "a trailer twice, side by side": edited(lambda lines: [*lines[:4], *lines[3:]]),
    "one left out": edited(lambda lines: lines[:-1]),
    "another order": edited(lambda lines: [lines[1], lines[0], *lines[2:]]),
    "another case": edited(lambda lines: [line.replace(b"KV-Seq", b"kv-seq") for line in lines]),
    "two spaces": edited(lambda lines: [line.replace(b"KV-Seq: ", b"KV-Seq:  ") for line in lines]),
    "no space": edited(lambda lines: [line.replace(b"KV-Seq: ", b"KV-Seq:") for line in lines]),
    "a space before the colon": edited(
        lambda lines: [line.replace(b"KV-Seq:", b"KV-Seq :") for line in lines]
    ),
    "a space at the end": edited(lambda lines: [*lines[:-1], lines[-1] + b" "]),
    "a folded value": edited(lambda lines: [*lines[:4], b" 1", *lines[4:]]),
    "a folded last value": edited(lambda lines: [*lines, b" 1"]),
    "a comment among them": edited(lambda lines: [*lines[:4], b"# x", *lines[4:]]),
    "a foreign trailer after": edited(
        lambda lines: [*lines, b"Signed-off-by: Bob <bob@example.com>"]
    ),
    "a foreign trailer in front": edited(
        lambda lines: [b"Reviewed-by: Eve <eve@example.com>", *lines]
    ),
    "a leading zero": edited(lambda lines: [re.sub(rb"Seq: ", b"Seq: 0", line) for line in lines]),
    "a plus sign": edited(lambda lines: [re.sub(rb"Seq: ", b"Seq: +", line) for line in lines]),
    "an underscore": edited(
        lambda lines: [re.sub(rb"Seq: \d+", b"Seq: 1_0", line) for line in lines]
    ),
    "Arabic digits": edited(
        lambda lines: [re.sub(rb"Seq: \d+", "Seq: ٣".encode(), line) for line in lines]
    ),
    "a newer version": edited(lambda lines: [b"KV-Version: 2", *lines[1:]]),
    "an unknown trailer": edited(lambda lines: [*lines, b"KV-New: 1"]),
    "a namespace with a slash": edited(
        lambda lines: [line.replace(b"NS: main", b"NS: ../main") for line in lines]
    ),
    "an id that is no UUID 7": edited(
        lambda lines: [re.sub(rb"-7(?=...-)", b"-4", line) for line in lines]
    ),
    "an id in capitals": edited(
        lambda lines: [
            line.upper().replace(b"KV-TXN", b"KV-Txn") if b"Txn" in line else line for line in lines
        ]
    ),
    "CR line ends": edited(lambda lines: [line + b"\r" for line in lines]),
    "text after": lambda message: message + b"\nthe end\n",
    "a line after": lambda message: message + b"the end\n",
    "an empty line after": lambda message: message + b"\n",
    "no LF at the end": lambda message: message.removesuffix(b"\n"),
    "no text at all": lambda message: split_block(message)[1],
    "an empty subject": lambda message: b"\n\n" + split_block(message)[1],
    "a subject of two lines": said_before(b"\nand on"),
    "a subject of two lines, one of 50,000 letters": said_before(b"x" * 50_000 + b"\na"),
    "a line break more after the subject": said_before(b"\n"),
    "an empty body": said_before(b"\n\n"),
    "the block twice": lambda message: message + b"\n" + split_block(message)[1],
    "after a divider": said_before(b"\n\n---\n"),
    "a divider between": said_before(b"\n---"),
    "a divider with text": said_before(b"\n--- a/file"),
    "in a middle paragraph": said_before(b"\n\n" + SEQ),
    "in a middle paragraph, in another case": said_before(b"\n\nkv-seq: 999"),
    "in the subject": lambda message: SEQ + b"\n\n" + message,
    "split by CR": said_before(b"\r" + SEQ),
    "split by VT": said_before(b"\v" + SEQ),
    "split by FF": said_before(b"\f" + SEQ),
    "split by FS": said_before(b"\x1c" + SEQ),
    "split by NEL": said_before("\x85".encode() + SEQ),
    "split by U+2028": said_before("\u2028".encode() + SEQ),
    "split by U+2029": said_before("\u2029".encode() + SEQ),
    "ESC in the text": said_before(b"\x1b[2J"),
    "C1 in the text": said_before("\x9b2J".encode()),
    "text that is not UTF-8": said_before(b"\xff\xfe"),
}


@pytest.mark.parametrize("change", MESSAGES.values(), ids=MESSAGES)
def test_a_message_that_two_readers_could_read_differently_is_refused(
    forge: Forge, change: Change
) -> None:
    assert_refused(forge.push(forge.transaction(bend=Bend(message=change))), 8)


CLAIMS: dict[str, tuple[int, Callable[[Attestation], Attestation]]] = {
    "base": (8, lambda said: said._replace(base=OTHER)),
    "no base": (8, lambda said: said._replace(base=None)),
    "base tree": (8, lambda said: said._replace(base_tree=OTHER)),
    "no base tree": (8, lambda said: said._replace(base_tree=None)),
    "jump": (8, lambda said: said._replace(jump=OTHER)),
    "no jump": (8, lambda said: said._replace(jump=None)),
    "index tree": (8, lambda said: said._replace(index_tree=OTHER)),
    "epoch": (8, lambda said: said._replace(epoch=EpochLabel("e2"))),
    "namespace": (8, lambda said: said._replace(ns=Namespace("other"))),
    "a later sequence number": (8, lambda said: said._replace(seq=said.seq + 1)),
    "the base's sequence number": (8, lambda said: said._replace(seq=said.seq - 1)),
    "too many keys set": (8, lambda said: said._replace(keys_set=2)),
    "keys deleted": (8, lambda said: said._replace(keys_del=1)),
    "sets told as deletions": (8, lambda said: said._replace(keys_set=0, keys_del=1)),
    "nothing": (3, lambda said: said._replace(keys_set=0, keys_del=0)),
}


@pytest.mark.parametrize(("code", "change"), CLAIMS.values(), ids=CLAIMS)
def test_a_false_claim_is_refused_though_it_is_signed(
    forge: Forge, code: int, change: Callable[[Attestation], Attestation]
) -> None:
    assert_refused(forge.push(forge.transaction(bend=Bend(said=change))), code)


def test_chunks_cannot_be_claimed(forge: Forge) -> None:
    claimed = Bend(
        message=lambda message: message.replace(
            b"Chunks-Tree: -", b"Chunks-Tree: " + OTHER.hex().encode()
        )
    )

    assert_refused(forge.push(forge.transaction(bend=claimed)), 8)


INDEX_COMMITS: dict[str, Change] = {
    "another time": lambda body: re.sub(rb"> \d+", b"> 1700000000", body),
    "another name": lambda body: body.replace(b"git-kv <", b"bob <"),
    "a message more": lambda body: body + b"x\n",
    "another ledger": lambda body: re.sub(
        rb"KV-Ledger: [0-9a-f]+", b"KV-Ledger: " + OTHER.hex().encode(), body
    ),
    "no parent": lambda body: re.sub(rb"\nparent [0-9a-f]{40}", b"", body),
}


@pytest.mark.parametrize("change", INDEX_COMMITS.values(), ids=INDEX_COMMITS)
def test_an_index_commit_other_than_the_derived_one_is_refused(
    forge: Forge, change: Change
) -> None:
    assert_refused(forge.push(forge.transaction(bend=Bend(index=change))), 8, "index.commit")


def test_an_empty_transaction_is_refused(forge: Forge) -> None:
    assert_refused(forge.push(forge.transaction({})), 3, "transaction.empty")


def test_a_transaction_id_is_used_once(forge: Forge, unharmed: Unharmed) -> None:
    used = forge.transaction()
    assert forge.push(used).accepted
    unharmed.again()

    again = forge.transaction(bend=Bend(said=lambda said: said._replace(txn=used.said.txn)))

    assert_refused(forge.push(again), 8, "transaction.replayed")


def test_a_transaction_id_is_used_once_within_a_push(forge: Forge) -> None:
    txn = fresh_txn()
    first = forge.transaction(bend=Bend(said=lambda said: said._replace(txn=txn)))
    second = forge.transaction(
        base=forge.tip_of(first), bend=Bend(said=lambda said: said._replace(txn=txn))
    )

    assert_refused(forge.push(one_push(first, second)), 8, "transaction.replayed")


def test_the_very_same_push_again_is_no_second_transaction(
    forge: Forge, unharmed: Unharmed
) -> None:
    forged = forge.transaction({b"once": Put(b"x%d" % time.time_ns())})
    assert forge.push(forged).accepted
    unharmed.again()

    answered = forge.push(forged)

    assert_refused(answered, 2, "base.stale")
