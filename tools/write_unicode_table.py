"""Writes `src/gitkv/model/unicode14.py` anew, by `make docs` or by hand. Runs on the Python whose
Unicode is 14.0 only (3.11): the table says what was assigned then, for ever.
"""

from __future__ import annotations

import sys
import textwrap
import unicodedata
from itertools import groupby
from pathlib import Path

TABLE = Path(__file__).parents[1] / "src" / "gitkv" / "model" / "unicode14.py"
UNICODE = "14.0.0"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_HEAD = '''\
"""Which code points are assigned in Unicode 14.0 (spec/format 1.1): those whose general category is
not Cn. Written by `tools/write_unicode_table.py`; loaded for keys beyond ASCII only.

Unicode promises that a text of assigned code points in normal form C stays in it in every later
version. An unassigned one may get a decomposition or another order, and a key would stop being one.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

# Lengths of the runs of assigned and unassigned code points in turn, from U+0000 on, in base 36
RUNS = """
'''
_TAIL = '''\
"""
_ENDS = tuple(accumulate(int(length, 36) for length in RUNS.split()))


def first_unassigned(text: str) -> str:
    """The first character of `text` that is not assigned, "" when all are."""
    return next((char for char in text if bisect_right(_ENDS, ord(char)) & 1), "")
'''


def table() -> str:
    """The module's text. Raises RuntimeError on a Python of another Unicode."""
    if unicodedata.unidata_version != UNICODE:
        raise RuntimeError(f"Unicode {unicodedata.unidata_version}, expected {UNICODE}")
    assigned = (unicodedata.category(chr(point)) != "Cn" for point in range(sys.maxunicode + 1))
    runs = [_base_36(len(list(run))) for _, run in groupby(assigned)]
    return _HEAD + "\n".join(textwrap.wrap(" ".join(runs), 98)) + "\n" + _TAIL


def _base_36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
