"""Which addresses a mirror may have, and that a refused one keeps its secret."""

from __future__ import annotations

import pytest

from gitkv.errors import PolicyError, UsageError
from gitkv.git.urls import check_mirror_url


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a/b.git",
        "https://example.org:8443/a.git",
        "https://[::1]:8443/a.git",
        "ssh://git@example.org/a.git",
        "ssh://example.org:2222/~me/a.git",
        "git@example.org:a/b.git",
        "example.org:b.git",
        "git@example.org:~me/b.git",
        "/srv/git/a.git",
        "file:///srv/git/a.git",
        "/srv/our stores/a (old) & [new]'s.git",
        "file:///srv/our stores/a.git",
    ],
)
def test_an_honest_address_is_allowed(url: str) -> None:
    assert check_mirror_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "-oProxyCommand=x",
        "--upload-pack=x",
        "ext::sh -c id",
        "fd::7",
        "foo::https://example.org/a",
        "http://example.org/a.git",
        "git://example.org/a.git",
        "ftp://example.org/a",
        "ssh://-oProxyCommand=x/a",
        "ssh://user@-x/a",
        "ssh://example.org",
        "-x@example.org:a",
        "git@-x:a",
        "git@example.org:-x",
        "relative/path",
        "../a",
        "file://host/a",
        "/a\n",
        "/a\nb",
        "/a\x1b[31m",
        "https://example.org/a.git\n",
        "https://example.org/$(id)",
        "https://example.org/`id`",
        "https://example.org/é",
        "https://example.org/a b",
        "/é",
        "/a\tb",
        "/a\x7f",
        "//host::x",
        "https:///a",
        "ssh:://x",
        "/" + "a" * 3000,
    ],
)
def test_an_address_that_runs_something_or_hides_something_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_mirror_url(url)
    assert caught.value.exit_code == 129
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "http://me:s3cret@host/r",
        "http://s3cret@host/r",
        "ext::https://me:s3cret@host/r",
        "ssh://me:s3cret@host/$r",
        "ftp://me:s3cret@x@host",
        "https://host/r#s3cret",
    ],
)
def test_a_refused_address_keeps_its_secret(url: str) -> None:
    with pytest.raises(PolicyError) as caught:
        check_mirror_url(url)
    assert "s3cret" not in str(caught.value)
