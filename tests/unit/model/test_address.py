"""Secrets in addresses: found in every place people put them, and never shown."""

from __future__ import annotations

import sys

import pytest

from gitkv.model.address import has_secret, redact

_WITH = [
    "https://me:s3cret@host/r",
    "https://s3cret@host/r",
    "HTTPS://me:s3cret@host/r",
    "https://me:s3cret@[::1]:8443/r",
    "https://me:s3c/s3cret@host/r",
    "https://me:x@s3cret@host/r",
    "https://me%3As3cret@host/r",
    "ssh://me:s3cret@host/r",
    "ssh://me%3As3cret@host/r",
    "git+ssh://me:s3cret@host/r",
    "ext::https://me:s3cret@host/r",
    "https://host/r?token=s3cret",
    "https://host/r?a=b#s3cret",
    "https://host/r#s3cret",
    "https://host/r#x?token=s3cret",
    "ssh://git@host/r#s3cret",
    "https://host/https://me:s3cret@host/r",
    "file://me:s3cret@/r",
    "me:s3cret@host:r",
]
_WITHOUT = [
    "https://host/r",
    "https://host:8443/r@v1",
    "https://[::1]/r@v1",
    "ssh://git@host/r",
    "ssh+git://git@host/r",
    "git@host:r",
    "git@host:r:s@t",
    "host:r",
    "/srv/a@b:c/r",
    "file:///srv/a@b",
    "file:///srv/a#b",
    "https://host/r#",
    "",
]


@pytest.mark.parametrize("url", _WITH)
def test_a_secret_is_found_and_not_shown(url: str) -> None:
    assert has_secret(url)
    assert "s3cret" not in redact(f"fatal: unable to access '{url}': 403", url)
    assert redact(url, url).endswith(("r", "?***", "#***"))


@pytest.mark.parametrize("url", _WITHOUT)
def test_an_address_without_a_secret_is_shown_as_it_is(url: str) -> None:
    assert not has_secret(url)
    assert redact(url, url) == url


def test_secrets_go_and_the_rest_stays() -> None:
    assert (
        redact("fatal: unable to access 'https://me:s3cret@host/r/': 403")
        == "fatal: unable to access 'https://***@host/r/': 403"
    )
    assert (
        redact("password s3cret was wrong", "https://me:s3cret@host/r") == "password *** was wrong"
    )
    assert (
        redact("https://token@host and https://other@host")
        == "https://***@host and https://***@host"
    )
    assert redact("ssh://git@host/r") == "ssh://git@host/r"
    assert redact("git@host:r") == "git@host:r"
    assert redact("nothing here") == "nothing here"


def test_the_work_grows_with_the_length_of_the_text() -> None:
    def steps(text: str) -> int:
        count = 0

        def tick(frame: object, event: str, arg: object) -> object:
            nonlocal count
            count += 1
            return tick

        before = sys.gettrace()
        sys.settrace(tick)
        try:
            redact(text)
        finally:
            sys.settrace(before)
        return count

    for piece in ("a", "a://", "://@", "a@", ":@", "://a:b/"):
        assert steps(piece * 4000) < 4.5 * steps(piece * 1000)
