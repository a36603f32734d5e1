"""Documents say what the code does: generated pages are fresh, citations lead somewhere, decisions
are short and listed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from house.project import ROOT, place, text_files
from support.page import blocks_of

ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
ADR_LINES_MAX = 60
CITATION = re.compile(r"spec/([a-z-]+)(?:\.md)? (?:section )?(\d+(?:\.\d+)?)")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def test_the_page_of_errors_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "write_errors_doc.py"), "--stdout"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ROOT / "docs" / "errors.md").read_text() == done.stdout, (
        "docs/errors.md is stale: run `make docs`"
    )


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_a_decision_fits_on_a_page_and_names_its_price(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= ADR_LINES_MAX
    headings = re.findall(r"^## (.+)$", text, re.M)
    assert headings == ["Context", "Decision", "Consequences"]
    assert re.search(r"^(?:- )?Negative:", text, re.M), "an ADR names what it costs"


def test_every_decision_is_listed_and_numbered_once() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text()
    assert [path.name for path in ADRS] == re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", index)
    assert [int(path.name[:4]) for path in ADRS] == list(range(1, len(ADRS) + 1))


def test_every_cited_clause_exists() -> None:
    missing = []
    for path, text in text_files():
        for page, clause in CITATION.findall(text):
            spec = ROOT / "docs" / "spec" / f"{page}.md"
            if not spec.exists() or not re.search(
                rf"^(?:#+ )?{re.escape(clause)}\b", spec.read_text(), re.M
            ):
                missing.append(f"{path.relative_to(ROOT)}: spec/{page} {clause}")
    assert not missing


def test_every_page_with_commands_is_tried_as_printed() -> None:
    stories = "".join(
        path.read_text() for path in (ROOT / "tests" / "journeys" / "docs").glob("test_*.py")
    )
    tried = set(re.findall(r"Page\(\"([^\"]+)\"", stories))
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    names = [str(path.relative_to(ROOT)) for path in pages]
    printed = {name for name in names if any(block.is_commands for block in blocks_of(name))}
    assert printed <= tried


def test_every_relative_link_leads_to_a_file() -> None:
    broken = [
        f"{place(path, text[: match.start()].count(chr(10)) + 1)} {match[1]}"
        for path, text in text_files()
        if path.suffix == ".md"
        for match in LINK.finditer(text)
        if not (path.parent / match[1]).exists()
    ]
    assert not broken


def test_the_glossary_explains_each_word_once() -> None:
    words = re.findall(r"^\*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(), re.M)
    assert words == sorted(words)
    assert len(words) == len(set(words))
