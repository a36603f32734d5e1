"""Git LFS pointers in the place of values: what git-lfs itself would take for one."""

from __future__ import annotations

import re

# git-lfs reads files below 1024 bytes only; the shortest pointer has 100.
LFS_POINTER_SIZES = range(100, 1024)
_WHITE = (
    rb"[\t\n\v\f\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80"
    rb"|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80"
)
_SPECIFICATIONS = (
    rb"https://git-lfs\.github\.com/spec/"
    rb"|https://hawser\.github\.com/spec/"
    rb"|http://git-media\.io/v/"
)
_POINTER = re.compile(rb"(?:%b)*version (?:%b)" % (_WHITE, _SPECIFICATIONS))


def is_lfs_pointer(body: bytes) -> bool:
    """Whether git-lfs takes `body` for a pointer: three spellings of the version, after any white
    space.
    """
    return _POINTER.match(body) is not None
