"""What a session serves: the gateway, and the git that unpacks pushes and answers fetches."""

from __future__ import annotations

from typing import NamedTuple

from gitkv.gateway.stargate import Stargate
from gitkv.git.process import Git


class Serving(NamedTuple):
    """`git` runs in the repository of the Stargate."""

    stargate: Stargate
    git: Git
