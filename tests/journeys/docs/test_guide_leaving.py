"""docs/guide/leaving.md, as printed, with nothing but stock git."""

from __future__ import annotations

from pathlib import Path

from support.page import Page, Shell


def test_stock_git_reads_values_and_history_without_git_kv(alone: Shell, tmp_path: Path) -> None:
    hub = tmp_path / "forge.git"
    alone.run(
        "git init -q store && cd store && git kv init"
        " && git kv set cfg:region eu-west-1 -m 'first region' && git kv set 'a b' spaced"
        f" && git remote add origin {hub}"
        " && git push -q origin 'refs/kv/*:refs/kv/*' 'refs/kv-index/*:refs/kv-index/*'"
        f" && git clone -q {hub} ../left && cd ../left && git config remote.origin.pushurl nowhere"
    )
    (tmp_path / "tools" / "git-kv").unlink()
    page = Page("docs/guide/leaving.md", {})
    read = alone.run(page.take("Reading values"))
    assert b"data/a%20b" in read.out and read.out.endswith(b"eu-west-1")
    alone.run(page.take("Reading values"))
    values = {path.name: path.read_bytes() for path in (alone.cwd / "values").iterdir()}
    assert values == {"cfg:region": b"eu-west-1", "a%20b": b"spaced"}
    history = alone.run(page.take("Reading history")).out.decode()
    assert "Ann first region" in history and "data/a%20b" in history
    alone.run(page.take("Taking it elsewhere"))
    page.finish()
