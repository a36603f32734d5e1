"""The examples of docs/sdk.md do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gitkv.client.init import init_store

_PAGE = Path(__file__).parents[3] / "docs" / "sdk.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_every_example_of_the_sdk_page_runs(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = _PAGE.read_text()
    init_store(repo)
    monkeypatch.chdir(repo)
    names: dict[str, object] = {}
    blocks = list(_BLOCK.finditer(page))
    assert len(blocks) >= 6
    for block in blocks:
        first_line = page[: block.start(1)].count("\n")
        exec(compile("\n" * first_line + block[1], str(_PAGE), "exec"), names)  # noqa: S102 - the page's own examples
