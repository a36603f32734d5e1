"""docs/guide/testing.md: its examples run."""

from __future__ import annotations

from support.page import Page, Shell, blocks_of


def test_the_examples_for_tests_run_as_printed(alone: Shell) -> None:
    examples = [block for block in blocks_of("docs/guide/testing.md") if block.language == "python"]
    assert len(examples) == 3
    for example in examples:
        (alone.cwd / "example.py").write_text(example.text)
        alone.run("python example.py")
    Page("docs/guide/testing.md", {}).finish()
