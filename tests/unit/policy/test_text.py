"""`.kv/policy.yaml` as text: what it means, every problem with its place (spec/policy 1 to 5)."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.policy_texts import FULL, OPENPGP_FINGERPRINT, OPENPGP_KEY, key_line, small

from gitkv.errors import PolicyError
from gitkv.model.chunking import Chunking
from gitkv.model.policy import NamespacePolicy, Writer
from gitkv.model.public_key import parse_ssh_key
from gitkv.model.refs import Namespace
from gitkv.policy.nodes import POLICY_BYTES_MAX
from gitkv.policy.text import PolicyProblem, PolicyTextError, parse_policy


@pytest.fixture(params=["libyaml", "pure Python"])
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML may be built without libyaml: the two scanners must lead to the same problems."""
    if request.param == "pure Python":
        monkeypatch.delattr(yaml, "CSafeLoader")


def problems_of(text: str | bytes) -> list[PolicyProblem]:
    with pytest.raises(PolicyTextError) as caught:
        parse_policy(text if isinstance(text, bytes) else text.encode())
    return caught.value.errors


def edited(old: str, new: str) -> tuple[str, tuple[int, int]]:
    """FULL with `old` (found once) replaced by `new`, and the place of the mark `§` in `new`."""
    assert FULL.count(old) == 1, old
    text = FULL.replace(old, new)
    before = text[: text.index("§")]
    return text.replace("§", ""), (before.count("\n") + 1, len(before) - before.rfind("\n"))


def test_every_field_of_a_policy_is_read(either_parser: None) -> None:
    policy = parse_policy(FULL.encode())
    alice, bob, dora = policy.principals
    assert policy.push_url == "ssh://git@127.0.0.1:2222/store"
    assert policy.gateway_keys == (parse_ssh_key(key_line(90).encode()),)
    assert policy.signatures_required
    assert (alice.name, alice.admin, alice.emails) == ("alice", True, ("alice@example.com",))
    assert alice.keys == (parse_ssh_key(key_line(1).encode()),)
    assert [(key.not_after_s, key.revoked) for key in bob.keys] == [
        (1798761600, False),
        (1798806601, True),
    ]
    assert (bob.admin, bob.emails) == (False, ())
    assert [(key.kind, key.fingerprint, key.material.decode()) for key in dora.keys] == [
        ("openpgp", OPENPGP_FINGERPRINT, OPENPGP_KEY)
    ]
    main, spare = policy.namespaces
    assert main == NamespacePolicy(
        ns=Namespace("main"),
        writers=(Writer("alice"), Writer("bob", (b"cfg:", b"flags%2F"))),
        allowed_prefixes=(b"cfg:", b"flags%2Fx", b"%2E%C3%A9"),
        value_bytes_max=2 << 20,
        total_bytes_max=1 << 30,
        keys_max=5,
        lfs_forbidden=False,
        verify="before-publish",
        chunking=Chunking(4 << 10, 16 << 10, 64 << 10),
        ttl_default_s=30 * 86400,
    )
    assert spare == NamespacePolicy(ns=Namespace("spare"), writers=())


def test_what_a_short_policy_leaves_out_is_the_strict_default() -> None:
    policy = parse_policy(small().encode())
    assert policy.signatures_required
    assert (policy.push_url, policy.gateway_keys) == ("", ())
    rules = policy.namespaces[0]
    assert (rules.value_bytes_max, rules.total_bytes_max, rules.keys_max) == (
        1 << 20,
        1 << 30,
        200_000,
    )
    assert (rules.lfs_forbidden, rules.verify) == (True, "before-ack")
    assert not parse_policy(small("signatures: optional\n").encode()).signatures_required


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # the frame
        ("version: 1", "version: §2", "version: expected 1"),
        ("version: 1", "version: §1.0", "version: expected 1"),
        ("version: 1", "version: §'1'", "version: expected 1"),
        ("version: 1\n", "version: 1\n§policies: {}\n", 'unknown key "policies"'),
        ("signatures: required", "signatures: §off", "signatures: expected required or optional"),
        (
            "signatures: required",
            "signatures: required\n§signatures: optional",
            '"signatures" is given twice: it is already on line',
        ),
        # stargate
        ("ssh://git@127.0.0.1:2222/store", "§https://git@127.0.0.1/store", "expected ssh://"),
        ("ssh://git@127.0.0.1:2222/store", "§ssh://-oProxyCommand=x/store", "expected ssh://"),
        ("ssh://git@127.0.0.1:2222/store", "§ssh://-l@host/store", "expected ssh://"),
        ("ssh://git@127.0.0.1:2222/store", "§ssh://host:65536/store", "expected ssh://"),
        ("ssh://git@127.0.0.1:2222/store", "§ssh://host", "expected ssh://"),
        ("ssh://git@127.0.0.1:2222/store", "§'ssh://host/$(id)'", "expected ssh://"),
        ("ssh://git@127.0.0.1:2222/store", '§"ssh://host/store\\n"', "visible characters"),
        (key_line(90), "§ssh-ed25519 AAAA", "expected one OpenSSH public key line"),
        (
            f"{key_line(90)} stargate",
            f"{key_line(90)}\n    - §{key_line(90)}",
            "listed already, for the gateway on line 7",
        ),
        # principals
        ("  dora:", "  §-dora:", "a name is 1 to 64"),
        ("  dora:", '  §"dora\\n":', "visible characters"),
        ("  dora:", f"  §{'d' * 65}:", "a name is 1 to 64"),
        ("  dora:", "  §no:", 'YAML does not read "no" as text'),
        ("  dora:", "  §012:", 'YAML does not read "012" as text'),
        ("  dora:", "  §bob:", '"bob" is given twice: it is already on line 14'),
        ("admin: true", "admin: §yes", "admin: expected true or false"),
        ("admin: true", "admin: §True", "admin: expected true or false"),
        ("admin: true", 'admin: §"true"', "admin: expected true or false"),
        ("admin: true", "§admn: true", 'unknown key "admn"'),
        ("[Alice@Example.com]", "§alice@example.com", "emails: expected a list"),
        ("[Alice@Example.com]", "§[]", "emails: expected at least one"),
        ("[Alice@Example.com]", "[§alice]", "expected an email address"),
        ("[Alice@Example.com]", "[§a@b@c]", "expected an email address"),
        ("[Alice@Example.com]", "[§'a@b <x']", "expected an email address"),
        ("[Alice@Example.com]", "[a@b, §A@B]", '"a@b" is listed already, for alice on line 11'),
        (
            "    admin: false\n",
            "    emails: [§alice@EXAMPLE.com]\n",
            "listed already, for alice on line 11",
        ),
        (f"- {key_line(1)} alice@laptop", f"- §{key_line(1)[:-4]}", "keys: "),
        (f"key: {key_line(2)}", f"§key: {key_line(1)}", "listed already, for alice on line 13"),
        (f"key: {key_line(2)}", "key: §~", "YAML does not read"),
        (
            f"- key: {key_line(2)}\n        not_after: 2027-01-01",
            "- §not_after: 2027-01-01",
            "neither",
        ),
        ("not_after: 2027-01-01\n", "not_after: §2027-02-29\n", "not_after: expected a date"),
        ("not_after: 2027-01-01\n", "not_after: §2027-1-1\n", "not_after: expected a date"),
        (
            "not_after: 2027-01-01\n",
            "not_after: §2027-01-01T00:00:00+02:00\n",
            "not_after: expected a date",
        ),
        (
            "not_after: 2027-01-01\n",
            "not_after: §2027-01-01T24:00:00Z\n",
            "not_after: expected a date",
        ),
        ("not_after: 2027-01-01\n", "not_after: §1970-01-01\n", "not_after: expected a date"),
        ("not_after: 2027-01-01\n", "not_after: §\uff12027-01-01\n", "not_after: expected a date"),
        ("revoked: true", "revoked: §on", "revoked: expected true or false"),
        ("openpgp: |", "openpgp: §>", "keys: "),
        ("openpgp: |", f"key: {key_line(4)}\n        §openpg: |", 'unknown key "openpg"'),
        # namespaces
        ("  spare:", "  §Spare:", "is not valid: expected"),
        ("  spare:", "  §a..b:", "is not valid: expected"),
        ("  spare:", "  §1_000:", "YAML does not read"),
        ("  spare:\n    writers: {}", "  §spare:\n    {}", '"writers" is missing'),
        ("    writers: {}", "    writers: §[]", "writers: expected a mapping, got a list"),
        ("      alice: {}", "      alice:§", "expected a mapping, got nothing"),
        ("      alice: {}", "      §carol: {}", 'writer "carol" is not one of the principals'),
        ("      alice: {}", "      alice: {§prefix: [a]}", 'unknown key "prefix"'),
        (
            '{prefixes: ["cfg:", "flags/"]}',
            "{prefixes: §[]}",
            "prefixes: expected at least one item",
        ),
        (
            '{prefixes: ["cfg:", "flags/"]}',
            "{prefixes: [§'']}",
            "expected a prefix, got an empty one",
        ),
        (
            '{prefixes: ["cfg:", "flags/"]}',
            "{prefixes: [ok, §1:30]}",
            'YAML does not read "1:30" as text',
        ),
        ('{prefixes: ["cfg:", "flags/"]}', "{prefixes: [§y]}", 'YAML does not read "y" as text'),
        (
            '{prefixes: ["cfg:", "flags/"]}',
            "{prefixes: [§1e3]}",
            'YAML does not read "1e3" as text',
        ),
        ('{prefixes: ["cfg:", "flags/"]}', "{prefixes: [§[a]]}", "expected text, got a list"),
        ('{prefixes: ["cfg:", "flags/"]}', "{prefixes: [§e\u0301]}", "normal form C"),
        ('{prefixes: ["cfg:", "flags/"]}', f"{{prefixes: [§{'k' * 241}]}}", "too long"),
        ('{prefixes: ["cfg:", "flags/"]}', '{prefixes: [§"a\\u202eb"]}', "visible characters"),
        ("2MiB", "§2MB", "max_value_inline: expected a size"),
        ("2MiB", "§2 MiB", "max_value_inline: expected a size"),
        ("2MiB", "§101MiB", "from 1 byte to 100MiB"),
        ("2MiB", "§1.5MiB", "max_value_inline: expected a size"),
        ("2MiB", "§0", "max_value_inline: expected a size"),
        ("1GiB", "§1025GiB", "from 1 byte to 1048576MiB"),
        (
            "max_keys_per_transaction: 5",
            "max_keys_per_transaction: §1_000",
            "expected an integer from 1",
        ),
        (
            "max_keys_per_transaction: 5",
            "max_keys_per_transaction: §012",
            "expected an integer from 1",
        ),
        (
            "max_keys_per_transaction: 5",
            "max_keys_per_transaction: §1:30",
            "expected an integer from 1",
        ),
        ("transaction: 5", "transaction: §5.0", "expected an integer from 1"),
        (
            "max_keys_per_transaction: 5",
            "max_keys_per_transaction: §-5",
            "expected an integer from 1",
        ),
        (
            "max_keys_per_transaction: 5",
            "max_keys_per_transaction: §\u0663",
            "expected an integer from 1",
        ),
        ("max_keys_per_transaction: 5", "max_keys_per_transaction: §1000001", "to 1000000"),
        ("lfs: allow", "lfs: §yes", "lfs: expected forbid or allow"),
        (
            "verify: before-publish",
            "verify: §after",
            "verify: expected before-ack or before-publish",
        ),
        # YAML itself
        ("  alice:\n", "  alice: §&a\n", "anchors are not allowed"),
        ("      bob: {prefixes", "      bob: §*a #", "aliases are not allowed"),
        ("version: 1", "version: §!!int 1", "tags are not allowed"),
        ("version: 1", "version: §! 1", "tags are not allowed"),
        (
            "    writers: {}",
            "    §<<: {writers: {}}\n    writers: {}",
            "merge keys are not allowed",
        ),
        ("    writers: {}", "    writers: {}\n    §[a]: b", "cannot be a name"),
        ("signatures: required", "§---\nsignatures: required", "a second document"),
        ("---\n# every", "§%YAML 1.1\n---\n# every", "directives are not allowed"),
        ("signatures: required", "signatures: §]", "not YAML"),
        ("version: 1", "version:§\t1", "U+0009"),
        ("version: 1", "version: 1§\r", "U+000D"),
        ("every field", "every§\u202e field", "U+202E"),
        ("every field", "every§\u2028 field", "U+2028"),
        ("every field", "every§\x00 field", "U+0000"),
        ("every field", "every§\ufeff field", "U+FEFF"),
    ],
)
def test_each_mistake_is_told_with_its_line_and_column(
    either_parser: None, old: str, new: str, message: str
) -> None:
    text, place = edited(old, new)
    found = [problem for problem in problems_of(text) if problem[:2] == place]
    assert any(message in problem.message for problem in found), (place, problems_of(text))


def test_a_misspelt_key_gets_the_nearest_one_as_its_hint() -> None:
    (problem,) = problems_of(small(namespaces="main: {writers: {}, max_values_inline: 1MiB}"))
    assert problem == PolicyProblem(
        5, 23, 'namespace "main": unknown key "max_values_inline"', "did you mean max_value_inline?"
    )


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text(either_parser: None) -> None:
    text = (
        f"version: 2\nprincipals:\n  no: &x\n    admin: yes\n    keys: [{key_line(1)}]\n  bob: "
        f"{{keys: *x, emials: []}}\n"
        "namespaces:\n  main:\n    writers: {eve: {}}\n    lfs: 1\n    lfs: forbid\n"
    )
    places = [(1, 10), (3, 3), (3, 7), (4, 12), (6, 15), (6, 19), (9, 15), (10, 10), (11, 5)]
    assert [problem[:2] for problem in problems_of(text)] == places


def test_text_cut_off_without_a_line_end_is_told_on_a_line_it_has(either_parser: None) -> None:
    assert problems_of("version: 1\nprincipals: {")[0].line == 2


def test_a_damaged_openpgp_key_is_told_at_its_block() -> None:
    (problem,) = problems_of(FULL.replace("=/0hL", "=/0hM"))
    assert FULL.splitlines()[problem.line - 1][problem.column - 1 :] == "|"


def test_an_alias_is_told_once_and_not_again_as_the_wrong_type() -> None:
    assert [problem.message for problem in problems_of(small("signatures: *x\n"))] == [
        "aliases are not allowed"
    ]


def test_a_missing_section_is_told() -> None:
    messages = [problem.message for problem in problems_of("stargate: {}\n")]
    assert messages == [
        f'the policy: "{name}" is missing' for name in ("version", "principals", "namespaces")
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_policy_is_refused_and_not_an_open_one(either_parser: None, text: str) -> None:
    assert problems_of(text)


def test_no_more_than_twenty_problems_are_told() -> None:
    assert len(problems_of(small("".join(f"unknown{at}: 1\n" for at in range(500))))) == 20


@pytest.mark.parametrize(
    "keys",
    [
        f"keys: [{key_line(1)}]",
        f"admin: false, keys: [{key_line(1)}]",
        f"admin: true, keys: [{{key: {key_line(1)}, revoked: true}}]",
    ],
)
def test_a_policy_without_a_usable_admin_is_refused(keys: str) -> None:
    (problem,) = problems_of(
        f"version: 1\nprincipals:\n  alice: {{{keys}}}\nnamespaces:\n  main: {{writers: {{}}}}\n"
    )
    assert (problem.line, problem.column, problem.rule) == (3, 3, "policy.no-admin")


def test_an_admin_whose_key_cannot_be_read_is_not_called_missing() -> None:
    assert [
        problem.rule for problem in problems_of(small().replace(key_line(1), "ssh-ed25519 AAAA"))
    ] == ["policy.syntax"]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\ne: [*d, *d]\n"
        * 20,  # doubles with every line when walked
        "&a [*a]",  # contains itself
        "[" * 200_000,
        "{a: " * 60_000,
        "- " * 100_000,
        "? " * 100_000,
        "".join(" " * level + "a:\n" for level in range(700)),
        '"\\UFFFFFFFF": 1',
        "%YAML 1." + "9" * 100_000 + "\n--- {}",
        "version: " + "1" * 200_000,
        "x" * (POLICY_BYTES_MAX + 1),
    ],
)
def test_a_bomb_costs_no_more_than_its_length(either_parser: None, text: str) -> None:
    before = time.process_time()
    assert len(problems_of(text)) <= 20
    assert (
        time.process_time() - before < 5
    )  # walked or recursed into, these take minutes or the process


def test_the_shape_of_a_policy_may_be_nested_eight_deep_and_no_deeper() -> None:
    deep = small("signatures: " + "[" * 7 + "]" * 7 + "\n")
    assert problems_of(deep)[0].message.startswith("signatures: expected")
    assert "nested too deeply" in problems_of(deep.replace("[]", "[[]]"))[0].message


def test_a_policy_of_the_largest_size_is_read() -> None:
    text = small()
    assert parse_policy((text + "#" * (POLICY_BYTES_MAX - len(text))).encode()).principals


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"\xef\xbb\xbfversion: 1\n", (1, 1)),
        (b"version: 1\n# caf\xe9\n", (2, 6)),
        ("version: 1\n".encode("utf-16"), (1, 1)),
        (b"# \xed\xa0\x80", (1, 3)),
    ],
)
def test_text_that_is_not_plain_utf8_is_refused_where_it_stops_being_so(
    text: bytes, place: tuple[int, int]
) -> None:
    assert [problem[:2] for problem in problems_of(text)] == [place]


def test_columns_count_characters_and_not_bytes(either_parser: None) -> None:
    (problem,) = problems_of(
        small(namespaces='main: {writers: {}, allowed_prefixes: ["ééé🙂", no]}')
    )
    assert (problem.line, problem.column) == (5, 50)


@pytest.mark.parametrize(
    "word",
    [
        "no",
        "On",
        "TRUE",
        "null",
        "~",
        "0x1F",
        "0o17",
        "0b1",
        "1_0",
        "1:30:00",
        ".5",
        "1.",
        "-1e9",
        "+.INF",
        ".nan",
        "=",
        "2027-01-31",
    ],
)
def test_a_name_some_yaml_takes_for_something_else_needs_quotes(word: str) -> None:
    text = small(namespaces=f"main: {{writers: {{}}, allowed_prefixes: [{word}]}}")
    assert problems_of(text)[0].hint.startswith("put it in quotes")
    quoted = parse_policy(text.replace(f"[{word}]", f'["{word}"]').encode())
    assert quoted.namespaces[0].allowed_prefixes


@pytest.mark.parametrize(
    "word", ["nobody", "1password", "2027-team", "one:2", "v1.0", "on-call", "10.0.0.1", "1:99"]
)
def test_a_name_that_every_yaml_reads_as_text_needs_none(word: str) -> None:
    assert parse_policy(
        small(namespaces=f"main: {{writers: {{}}, allowed_prefixes: [{word}]}}").encode()
    ).namespaces


def test_what_pyyaml_would_make_of_a_plain_scalar_other_than_text_is_never_taken_for_text() -> None:
    @given(st.text("0123456789abcdefnosyrtulxOX_:.+-~ <=TZ", min_size=1, max_size=12))
    def check(word: str) -> None:
        text = small(namespaces=f"main:\n    writers: {{}}\n    allowed_prefixes:\n      - {word}")
        try:
            prefixes = parse_policy(text.encode()).namespaces[0].allowed_prefixes
        except PolicyTextError:
            return
        try:
            loaded = yaml.safe_load(text)["namespaces"]["main"]["allowed_prefixes"][0]
        except ValueError:
            pytest.fail(f"{word!r} is something that PyYAML fails to construct")
        assert isinstance(loaded, str) and prefixes, word

    check()


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_give_a_policy_or_problems_and_nothing_else(text: bytes) -> None:
    with pytest.raises(PolicyTextError):
        parse_policy(text)


@given(st.data())
def test_a_damaged_policy_gives_a_policy_or_problems_inside_the_text(data: st.DataObject) -> None:
    text = FULL.encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    damaged = (
        text[:start]
        + data.draw(
            st.sampled_from(
                [
                    b"",
                    b"\n",
                    b"*a",
                    b"&a ",
                    b"!x ",
                    b"[",
                    b"}",
                    b": ",
                    b"'",
                    b"- ",
                    b"|",
                    b"<<: ",
                    b"\x00",
                ]
            )
        )
        + text[end:]
    )
    try:
        parse_policy(damaged)
    except PolicyTextError as error:
        for problem in error.errors:
            assert 1 <= problem.line <= damaged.count(b"\n") + 1 and problem.column >= 1
            assert problem.message.isprintable() and problem.message.isascii()


def test_the_error_names_the_first_place_and_how_many_more_there_are() -> None:
    with pytest.raises(
        PolicyError, match=r"line 1, column 10: version: expected 1, got \"2\" \(and 1 more\)"
    ) as caught:
        parse_policy(small("signatures: off\n").replace("version: 1", "version: 2").encode())
    assert caught.value.exit_code == 3
