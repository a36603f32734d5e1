"""The first policy: what `stargate init` writes is what the parser reads."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.policy_texts import key_line

from gitkv.policy.template import format_policy
from gitkv.policy.text import PolicyTextError, parse_policy

URL = "ssh://git@127.0.0.1:2222/store"


def test_the_first_policy_says_what_it_was_made_of() -> None:
    text = format_policy(
        URL,
        ("alice", key_line(1) + " alice@laptop"),
        [("bob", key_line(2)), ("no", key_line(3))],
        key_line(4),
        ["main", "1_0"],
    )
    policy = parse_policy(text)
    assert policy.push_url == URL and len(policy.gateway_keys) == 1
    assert [(entry.name, entry.admin, len(entry.keys)) for entry in policy.principals] == [
        ("alice", True, 1),
        ("bob", False, 1),
        ("no", False, 1),
    ]
    assert [str(entry.ns) for entry in policy.namespaces] == ["main", "1_0"]
    assert [writer.principal for writer in policy.namespaces[1].writers] == ["alice", "bob", "no"]
    assert policy.signatures_required


def test_the_first_policy_is_written_for_people() -> None:
    text = format_policy(URL, ("alice", key_line(1) + " alice@laptop")).decode()
    assert f"  push_url: {URL}\n" in text  # no quotes where none are needed
    assert f"      - {key_line(1)} alice@laptop\n" in text
    assert max(map(len, text.splitlines())) <= 140 and text.endswith("\n")


def test_the_example_of_a_principal_can_be_copied_out_of_its_comment() -> None:
    text = format_policy(URL, ("alice", key_line(1))).decode()
    comment = text.partition("More of a principal:\n")[2].partition("principals:\n")[0]
    example = yaml.safe_load("".join(line[1:] + "\n" for line in comment.splitlines()))
    assert example["emails"] == ["alice@example.com"]
    assert [sorted(key) for key in example["keys"]] == [
        ["key", "not_after", "revoked"],
        ["openpgp"],
    ]


def test_what_init_does_not_know_is_left_out() -> None:
    text = format_policy("", ("alice", key_line(1)))
    assert b"stargate:\n" not in text
    assert format_policy("", ("alice", key_line(1)), [("alice", key_line(1))]) == text


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=40))
def test_any_comment_of_a_key_line_survives(comment: str) -> None:
    policy = parse_policy(format_policy(URL, ("alice", f"{key_line(1)} {comment}")))
    assert (
        policy.principals[0].keys
        == parse_policy(format_policy(URL, ("alice", key_line(1)))).principals[0].keys
    )


@pytest.mark.parametrize("name", ["x:\n  eve", 'a"b', "a: b", "", "-", "*a"])
def test_a_name_cannot_smuggle_in_yaml(name: str) -> None:
    with pytest.raises(PolicyTextError):
        format_policy(URL, ("alice", key_line(1)), [(name, key_line(2))])
