"""Reading many keys: forms for people and for programs, and what a terminal is shown."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from gitkv.cli.get_many import file_name
from gitkv.cli.output import eye_text, one_line
from gitkv.cli.tree import draw_tree
from gitkv.errors import KeyInvalidError
from gitkv.model.key import encode_key


@given(st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=2, unique=True))
def test_no_two_keys_share_a_file_and_none_leads_out_of_its_folder(texts: list[str]) -> None:
    try:
        names = [file_name(text) for text in texts]
        names += [file_name(encode_key(text).decode()[:240]) for text in texts]
    except KeyInvalidError:
        return
    assert names[0] != names[1]
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_:@+=,%~][A-Za-z0-9_:@+=,.%~-]{0,254}", name)


def test_long_keys_that_begin_alike_have_files_of_their_own() -> None:
    names = {file_name("k" * 239 + letter) for letter in "ab"}
    assert len(names) == 2 and max(map(len, names)) <= 255


def _is_harmless(shown: bytes) -> bool:
    ours = re.sub(rb"\x1b\[(?:1|3[1-6])?m", b"", shown)  # our own colours
    return all(char.isprintable() or char in "\n\t" for char in ours.decode())


@given(st.binary(max_size=40))
def test_values_for_eyes_are_harmless_and_one_line_forms_differ(value: bytes) -> None:
    assert _is_harmless(eye_text(value).encode())
    assert one_line(value).isprintable()


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_two_values_never_have_the_same_line(one: bytes, other: bytes) -> None:
    assert (one_line(one) == one_line(other)) == (one == other)


def test_a_tree_shows_every_key_once() -> None:
    keys = ["a/b", "cfg:", "cfg:db:host", "cfg:db:port", "cfg:x", "flag"]
    assert list(draw_tree(keys)) == [
        "a/",
        "└── b",
        "cfg:",
        "├── (itself)",
        "├── db:",
        "│   ├── host",
        "│   └── port",
        "└── x",
        "flag",
    ]
    assert list(draw_tree(["a.b", "a.c:d"], ".")) == ["a.", "├── b", "└── c:d"]
    deep = list(draw_tree([":" * 240, ":" * 239 + "a"]))
    assert len(deep) == 241
