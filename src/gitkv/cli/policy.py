"""`git kv policy show|check|test`: the policy in force, a draft, and who may write what;
all offline.
"""

from __future__ import annotations

from gitkv.cli.output import put_json, put_json_lines, put_line, put_lines, put_value, safe
from gitkv.errors import PolicyError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.client.policy_questions import Answer
    from gitkv.client.replica import Replica
    from gitkv.model.policy import Policy

USAGE = "policy show | check FILE | test [--as NAME] [--file FILE] KEY..."
NOTES = """\
show: the policy as this clone has proved it, or as refs/heads/main of a standalone store has it.
check: whether FILE is a valid policy that may follow the present one.
test: whether the principal NAME (default: you) may write each KEY, by the present policy or FILE.
Exit code 3: a policy that is not valid, or a key that may not be written."""
_EXIT_FORBIDDEN = 3


def add_arguments(parser: Parser) -> None:
    """Declares the action and what it is about."""
    parser.add_argument("action", choices=["show", "check", "test"])
    parser.add_argument("words", nargs="*", metavar="FILE | KEY")
    parser.add_argument(
        "--as", dest="principal", default="", metavar="NAME", help="the principal to test for"
    )
    parser.add_argument("--file", metavar="FILE", help="the policy to test, instead of the present")


def run(args: Namespace, context: Context) -> int:
    """Answers about a policy; returns the exit code."""
    if args.action != "test" and (args.principal or args.file is not None):
        raise UsageError("--as and --file belong to policy test")
    if args.action == "show":
        return _show(args.words, context)
    return (_check if args.action == "check" else _test)(args, context)


def _show(words: list[str], context: Context) -> int:
    from gitkv.client.policy import policy_text

    if words:
        raise UsageError(f"policy show takes no words, got {words[0]!r}")
    with context.open_replica() as replica:
        text = policy_text(replica)
        if text is None:
            raise _none(replica)
        if context.json:
            put_json(_fields(_present(replica)) | {"text": text.decode("utf-8", "replace")})
            return 0
    put_value(text)
    return 0


def _check(args: Namespace, context: Context) -> int:
    from gitkv.cli.source import read_whole
    from gitkv.client.policy_questions import checked_policy

    if len(args.words) != 1:
        raise UsageError(f"policy check: expected one FILE, got {len(args.words)}")
    text = read_whole(args.words[0], context)
    with context.open_replica() as replica:
        from gitkv.client.policy import read_policy

        present = read_policy(replica)
        policy = checked_policy(text, args.words[0], present, replica.host.now_s())
    if context.json:
        put_json(_fields(policy))
        return 0
    follows = "it may follow the present one" if present is not None else "there is none here yet"
    who = ", ".join(entry.name for entry in policy.principals)
    where = ", ".join(entry.ns for entry in policy.namespaces)
    put_line(f"{safe(args.words[0])} is a valid policy of {who} for {where}; {follows}")
    return 0


def _test(args: Namespace, context: Context) -> int:
    from gitkv.cli.source import read_whole
    from gitkv.client.policy_questions import checked_policy, may_write
    from gitkv.client.whoami import whoami

    if not args.words:
        raise UsageError("policy test: no KEY")
    text = None if args.file is None else read_whole(args.file, context)
    with context.open_replica() as replica:
        if text is None:
            policy = _present(replica)
        else:
            policy = checked_policy(text, args.file, None, replica.host.now_s())
        principal = args.principal or whoami(replica).principal
        if not principal:
            raise PolicyError("the policy knows no key of yours", hint="name somebody: --as NAME")
        answers = may_write(policy, replica.ns, principal, args.words)
    if context.json:
        put_json_lines(answer._asdict() for answer in answers)
    else:
        put_lines(map(_line, answers))
    return 0 if all(answer.allowed for answer in answers) else _EXIT_FORBIDDEN


def _line(answer: Answer) -> str:
    if answer.allowed:
        return f"allowed  {safe(answer.key)}"
    where = safe(", ".join(answer.prefixes)) or "nothing"
    return f"refused  {safe(answer.key)}  ({answer.principal} may write {where})"


def _present(replica: Replica) -> Policy:
    from gitkv.client.policy import read_policy

    policy = read_policy(replica)
    if policy is None:
        raise _none(replica)
    return policy


def _none(replica: Replica) -> PolicyError:
    if replica.remote:
        return PolicyError("this clone has proved no policy", hint="git kv remote setup")
    return PolicyError(
        "this store has no policy: whoever has the repository may write every key",
        hint="one is committed as .kv/policy.yaml to refs/heads/main",
    )


def _fields(policy: Policy) -> dict[str, object]:
    return {
        "push_url": policy.push_url,
        "signatures_required": policy.signatures_required,
        "principals": [
            {
                "name": entry.name,
                "admin": entry.admin,
                "emails": list(entry.emails),
                "keys": [
                    {"fingerprint": key.fingerprint, "kind": key.kind, "revoked": key.revoked}
                    for key in entry.keys
                ],
            }
            for entry in policy.principals
        ],
        "namespaces": [
            {
                "ns": entry.ns,
                "writers": [writer.principal for writer in entry.writers],
                "verify": entry.verify,
            }
            for entry in policy.namespaces
        ],
    }
