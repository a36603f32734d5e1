"""Addresses that ssh reaches: git's spellings, git's rewriting, and nothing that could be read in
another way.
"""

from __future__ import annotations

import pytest

from gitkv.errors import PolicyError, UsageError
from gitkv.git.ssh_address import SshTarget, parse_ssh_url


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("ssh://git@host:2222/a/b.git", ("git", "host", "2222", "/a/b.git")),
        ("ssh://host/a.git", ("", "host", "", "/a.git")),
        ("ssh://[::1]/~me/b.git", ("", "::1", "", "~me/b.git")),
        ("ssh://git@[fe80::1]:22/b.git", ("git", "fe80::1", "22", "/b.git")),
        ("git+ssh://host/a.git", ("", "host", "", "/a.git")),
        ("ssh+git://git@host:22/a.git", ("git", "host", "22", "/a.git")),
        ("git@host:a/b.git", ("git", "host", "", "a/b.git")),
        ("host:/a/b.git", ("", "host", "", "/a/b.git")),
        ("host:~me/b.git", ("", "host", "", "~me/b.git")),
        ("git@[::1]:a.git", ("git", "::1", "", "a.git")),
        ("[::1]:/a.git", ("", "::1", "", "/a.git")),
        ("[host:2222]:a.git", ("", "host", "2222", "a.git")),
        ("[git@host:2222]:a.git", ("git", "host", "2222", "a.git")),
    ],
)
def test_the_parts_of_an_address(url: str, target: tuple[str, str, str, str]) -> None:
    assert parse_ssh_url(url) == SshTarget(*target)


@pytest.mark.parametrize(
    "url",
    [
        "ssh://-oProxyCommand=x/a",
        "ssh://user@-oProxyCommand=x/a",
        "ssh://-l@host/a",
        "ssh://host/a'b",
        "ssh://host/a b",
        "ssh://host/$(id)",
        "ssh://host/a\n",
        "ssh://host",
        "ssh://host:99999/a",
        "https://host/a",
        "git://host/a",
        "ext::sh -c id",
        "-oProxyCommand=x:a",
        "git@-x:a",
        "host:-a",
        "host:a'b",
        "host:a b",
        "[host:22:a",
        "[-x:22]:a",
        "/srv/a",
        "a/b:c",
        "",
    ],
)
def test_an_address_that_ssh_or_a_shell_could_read_otherwise_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        parse_ssh_url(url)


@pytest.mark.parametrize("url", ["ssh://u:s3cret@host/a", "ssh://host/a#s3cret", "u:s3cret@h:a"])
def test_an_address_with_a_secret_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_ssh_url(url)
    assert "s3cret" not in str(caught.value)
