"""Data comes in from the neighbours and leaves again, by the commands a person types."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitkv import Store
from gitkv.cli.main import main
from gitkv.client.init import init_store
from gitkv.model.content import Put
from gitkv.wire.flat import read_env, write_env

_TEXTS = st.text(
    st.characters(blacklist_characters="\0\r", blacklist_categories=["Cs"]), max_size=9
)


@pytest.fixture
def store(repo: Path) -> Path:
    init_store(repo)
    return repo


def _values(repo: Path) -> dict[str, bytes]:
    with Store.open(repo) as store:
        return dict(store.items())


@pytest.mark.parametrize("form", ["consul", "json", "yaml", "dir", "env"])
def test_a_round_trip_through_each_format_keeps_every_value(
    store: Path, tmp_path: Path, form: str
) -> None:
    given = {"app:A": b"1", "app:B": "grüß 'x' $y\n".encode(), "app:C": b""}
    with Store.open(store) as opened:
        opened.update(given)
        opened["other"] = b"\xff"
    out = str(tmp_path / "out")
    repo = str(store)
    assert main(["-C", repo, "export", "--to", form, out, "--prefix", "app:"]) == 0
    assert main(["-C", repo, "import", out, "--from", form, "--prefix", "new:"]) == 0
    assert _values(store) == given | {"other": b"\xff"} | {
        key.replace("app:", "new:"): value for key, value in given.items()
    }


def test_a_folder_is_read_with_its_hidden_files_and_without_links(
    store: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "c.txt").write_bytes(b"\x00deep")
    (folder / ".hidden").write_bytes(b"h")
    words = ["-C", str(store), "import", str(folder), "--from", "dir", "--separator", ":"]
    assert main(words) == 0
    assert _values(store) == {"a:b:c.txt": b"\x00deep", ".hidden": b"h"}
    (folder / "link").symlink_to("/etc/passwd")
    assert main(words) == 129
    (folder / "link").unlink()
    (folder / "loop").symlink_to(folder)
    assert main(words) == 129
    (folder / "loop").unlink()
    (folder / "x:y").write_bytes(b"")
    assert main(words) == 129


def test_a_key_that_is_no_way_to_a_file_writes_nothing_outside(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, keys in enumerate((["../up"], ["a/../../up"], ["/abs"], ["a//b"], ["a", "a/b"])):
        with Store.open(store) as opened:
            opened.clear()
            opened.update(dict.fromkeys(keys, b"x"))
        target = tmp_path / f"out{number}"
        assert main(["-C", str(store), "export", "--to", "dir", str(target)]) == 129
        assert "key" in capsys.readouterr().err
    assert not (tmp_path / "up").exists()
    full = tmp_path / "full"
    full.mkdir()
    (full / "f").touch()
    assert main(["-C", str(store), "export", "--to", "dir", str(full)]) == 5


def test_a_text_with_one_bad_entry_writes_nothing(store: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.json"
    source.write_bytes(b'{"good": "1", "bad\\u0007": "2"}')
    repo = ["-C", str(store)]
    assert main([*repo, "import", str(source), "--from", "json"]) == 4
    source.write_bytes(b'{"good": "1", "good": "2"}')
    assert main([*repo, "import", str(source), "--from", "json", "--batch", "1"]) == 129
    assert main([*repo, "import", str(source), "--prefix", "p"]) == 129
    assert main([*repo, "export", "--to", "dir"]) == 129
    assert main([*repo, "export", "--to", "json", "--separator", ""]) == 129
    assert _values(store) == {}


def test_what_stays_behind_is_told(
    store: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with Store.open(store) as opened:
        opened.set("k", b"v", ctype="text/plain", ttl_s=60)
    assert main(["-C", str(store), "export", "--to", "json"]) == 0
    told = capfdbinary.readouterr()
    assert json.loads(told.out) == {"k": "v"}
    assert b"1 key; left behind: 1 content type, 1 expiry\n" in told.err


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(["A", "b_2", "_"]), _TEXTS, max_size=3))
def test_an_env_file_reads_back_and_a_shell_takes_it_for_the_same(
    values: dict[str, str],
) -> None:
    text = b"".join(write_env((name, value.encode(), "") for name, value in values.items()))
    assert dict(read_env(text)) == {name: Put(value.encode()) for name, value in values.items()}
    for name, value in values.items():
        script = text + b'printf %%s "$%b"' % name.encode()
        assert subprocess.run(["sh", "-c", script], capture_output=True).stdout == value.encode()
