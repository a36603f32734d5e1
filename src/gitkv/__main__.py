"""`python -m gitkv`: the same program as the `git-kv` script."""

from __future__ import annotations

import sys

from gitkv.cli.start import main

sys.exit(main())
