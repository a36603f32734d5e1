"""Colours by git's settings, `color.ui` and `color.pager`, and NO_COLOR; none in a file or pipe."""

from __future__ import annotations

from gitkv.cli.output import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitkv.cli.context import Context
    from gitkv.client.store import Store

# git's own defaults for the same things
_CODES = {"name": "33", "old": "31", "new": "32", "part": "36", "title": "1"}
_NEVER = ("false", "no", "off", "0", "never")


class Paint:
    """`paint("old", text)` is the text as git colours it, or as it is."""

    def __init__(self, context: Context, store: Store) -> None:
        self.on = _wanted(context, store)

    def __call__(self, kind: str, text: str) -> str:
        return f"\x1b[{_CODES[kind]}m{text}\x1b[m" if self.on and text else text


def _wanted(context: Context, store: Store) -> bool:
    if context.json:
        return False
    setting, env = store.setting("color.ui").lower(), context.env
    if setting == "always":
        return True
    paged = env.get("GIT_PAGER_IN_USE", "") in ("true", "1")
    if setting in _NEVER or env.get("NO_COLOR") or env.get("TERM", "dumb") == "dumb":
        return False
    if paged and store.setting("color.pager").lower() in _NEVER:
        return False
    return paged or is_terminal()
