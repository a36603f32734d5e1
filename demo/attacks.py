"""Ways to write what one may not, each really tried. Stock git takes the place of the client where
the client would not even send it.

Stock git ends with 1 whatever the reason; which exit code a git-kv client would have ended with is
then looked up in Stargate's log.
"""

from __future__ import annotations

from scenes import Cast
from stage import Person, Stage

from gitkv.ledger.compose import index_facts
from gitkv.ledger.seek import LedgerCommit
from gitkv.model.attestation import parse_message
from gitkv.model.commit import index_commit, parse_commit
from gitkv.model.oid import COMMIT, Oid, hash_object
from gitkv.testing.world import make_key

POLICY, INTEGRITY = 3, 8  # exit codes


def attack(stage: Stage, cast: Cast) -> None:
    """All of them; afterwards Stargate holds exactly what it held before."""
    stage.screen.scene(
        "7 What is refused",
        "Bob has a key and may write cfg: and flag:. He tries what he may not; so does mallory, "
        "who has nothing but the public clone. "
        "Where the client would not even send it, stock git does.",
    )
    before = stage.settle(), _objects(stage)
    bob = cast.bob
    bob("git kv set billing:rate 9", code=POLICY, says="[3 prefix.not-owned]")
    stage.saw("a key outside one's prefixes", "refused, exit code 3")
    _unknown_keys(stage, bob)
    _unsigned(stage, bob)
    _forged(stage, bob)
    bob.here = bob.home / "store"
    bob.type("git kv get cfg:region --read-from=stargate")
    force = (
        "git push --force --atomic origin refs/kv/main~1:refs/kv/main "
        "refs/kv-index/main~1:refs/kv-index/main"
    )
    bob(force, code=1, says="[3 push.not-fast-forward]", show=1)
    _wait_for_refusal(stage, POLICY, "push.not-fast-forward")
    stage.saw("force-push", "refused, exit code 3")
    after = stage.refs(stage.gate), _objects(stage)
    stage.expect(before == after, f"refs and objects as before: {before}", after)
    stage.saw("left behind in Stargate by all of these", "no ref, no object")


def _unknown_keys(stage: Stage, bob: Person) -> None:
    mallory = Person(stage, "mallory")
    mallory("git clone --quiet ../mirror.git store")
    mallory.here = mallory.home / "store"
    mallory(
        f"git push {stage.url} HEAD:refs/heads/main", code=128, says="Permission denied", show=1
    )
    stage.wait_for_log(r"login\.refused peer=127\.0\.0\.1")
    stage.saw("log-in with a key that is not in the policy", "refused by Stargate's SSH")
    make_key(bob.home / ".ssh" / "stray", "bob@laptop")
    bob(f"git config user.signingkey {bob.home}/.ssh/stray")
    bob("git kv set cfg:region mars", code=POLICY, says="[3 signature.unknown-key]")
    bob(f"git config user.signingkey {bob.key}")
    stage.saw("signature by an unknown key", "refused, exit code 3")


def _unsigned(stage: Stage, bob: Person) -> None:
    """An unsigned transaction, made in a workshop of bob's own, where no policy asks for
    signatures.
    """
    bob.here = bob.home
    bob("git init --quiet workshop")
    bob.here = bob.home / "workshop"
    bob(
        "git fetch --quiet ../../mirror.git 'refs/kv/*:refs/kv/*' 'refs/kv-index/*:refs/kv-index/*'"
    )
    bob("git kv set cfg:region mars -m 'a quiet change'")
    bob(f"git remote add gate {stage.url}")
    bob(
        "git push --atomic gate refs/kv/main refs/kv-index/main",
        code=1,
        says="[3 signature.unsigned]",
        show=1,
    )
    _wait_for_refusal(stage, POLICY, "signature.unsigned")
    stage.saw("unsigned commit", "refused, exit code 3")


def _forged(stage: Stage, bob: Person) -> None:
    """An attestation that was edited after signing, and one that bob signs although it lies."""
    bob("git config gpg.format ssh")
    bob(f"git config user.signingkey {bob.key}")
    message, sign = (
        "git cat-file commit refs/kv/main | sed '1,/^$/d'",
        "git commit-tree -S -p refs/kv/main~1 refs/kv/main^{tree}",
    )
    signed = bob(f"{message} | {sign}    # the same, signed").out.strip()
    edit = "sed 's/^KV-Keys-Set: 1/KV-Keys-Set: 2/' | git hash-object -t commit -w --stdin"
    edited = bob(f"git cat-file commit {signed} | {edit}").out.strip()
    _push_forgery(stage, bob, edited, "signature.bad")
    stage.saw("attestation edited after signing", "refused, exit code 8")
    hidden = bob(
        "git rev-parse refs/kv-index/main~1^{tree}    # the index as if nothing had changed"
    ).out.strip()
    lying = bob(
        f"{message} | sed 's/^KV-Index-Tree: .*/KV-Index-Tree: {hidden}/' | {sign}"
    ).out.strip()
    _push_forgery(stage, bob, lying, "index.mismatch")
    stage.saw(
        "a lie with a good signature: the index would hide the change", "refused, exit code 8"
    )


def _push_forgery(stage: Stage, bob: Person, ledger: str, rule: str) -> None:
    """Pushes a forged ledger commit with the index commit that belongs to it: the forger is no
    fool.
    """
    body = bob.type(f"git cat-file commit {ledger}").out.encode()
    commit = parse_commit(body)
    text, said = parse_message(commit.message)
    previous = Oid(bytes.fromhex(bob.type("git rev-parse refs/kv-index/main~1").out.strip()))
    _, index = index_commit(
        index_facts(LedgerCommit(hash_object(COMMIT, body), commit, text, said), previous)
    )
    oid = bob.type("git hash-object -t commit -w --stdin", text=index.decode()).out.strip()
    bob(
        f"git push --atomic gate {ledger}:refs/kv/main {oid}:refs/kv-index/main",
        code=1,
        says=f"[8 {rule}]",
        show=1,
    )
    _wait_for_refusal(stage, INTEGRITY, rule)


def _wait_for_refusal(stage: Stage, code: int, rule: str) -> None:
    stage.wait_for_log(rf"push\.refused who=bob .* exit={code} .*\[{code} {rule}\]")


def _objects(stage: Stage) -> str:
    return stage.quietly("git", "-C", "gate.git", "count-objects", "-v")
