"""`git kv stargate init|serve`: creating and running the gateway."""

from __future__ import annotations

import os

from gitkv.cli.output import put_json, put_line
from gitkv.errors import GitKvError, ToolError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace, _SubParsersAction

    from gitkv.cli.arguments import Parser
    from gitkv.cli.context import Context
    from gitkv.model.event import Report

    Verbs = _SubParsersAction[Parser]

USAGE = "stargate init|serve DIR ..."
NOTES = """\
init creates a bare repository with the policy, a host key and the gateway's signing key, and puts
the first state on the mirror. serve answers git push and git fetch over SSH until it gets SIGTERM.
'git kv stargate init -h' and 'git kv stargate serve -h' list the options."""
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 2222


def add_arguments(parser: Parser) -> None:
    """Declares the verbs `init` and `serve` with their options."""
    verbs = parser.add_subparsers(
        dest="action", required=True, metavar="init|serve", parser_class=type(parser)
    )
    _add_init(verbs)
    _add_serve(verbs)


def _add_init(verbs: Verbs) -> None:
    init = verbs.add_parser(
        "init",
        prog="git kv stargate init",
        usage="git kv stargate init DIR --mirror URL --admin KEY.pub [options]",
    )
    init.add_argument("directory", metavar="DIR", help="the repository to create")
    init.add_argument(
        "--mirror",
        required=True,
        metavar="URL",
        help="the Git repository that readers clone: empty, and reachable from here",
    )
    init.add_argument(
        "--admin",
        required=True,
        metavar="[NAME=]KEY.pub",
        help="public key file of the first admin; the name may come from its comment",
    )
    init.add_argument(
        "--writer",
        action="append",
        default=[],
        metavar="NAME=KEY.pub",
        help="a writer and their public key file; may be repeated",
    )
    init.add_argument(
        "--push-url",
        default="",
        metavar="URL",
        help=f"where writers reach Stargate (default: ssh://git@{DEFAULT_HOST}:{DEFAULT_PORT}/DIR)",
    )


def _add_serve(verbs: Verbs) -> None:
    serve = verbs.add_parser(
        "serve",
        prog="git kv stargate serve",
        usage="git kv stargate serve DIR [--ssh HOST:PORT] [options]",
    )
    serve.add_argument("directory", metavar="DIR", help="the repository made by stargate init")
    serve.add_argument(
        "--ssh",
        default=f"{DEFAULT_HOST}:{DEFAULT_PORT}",
        metavar="HOST:PORT",
        help="where to listen; port 0 picks a free one (default: %(default)s)",
    )
    serve.add_argument(
        "--log-format",
        choices=["text", "json"],
        default="text",
        help="readable lines, or one JSON object an event (default: text)",
    )
    serve.add_argument(
        "--mirror-interval",
        type=float,
        default=None,
        metavar="SECONDS",
        help="least time between two pushes to the mirror",
    )
    serve.add_argument(
        "--port-file",
        default="",
        metavar="FILE",
        help="write the port there once connections are answered",
    )


def run(args: Namespace, context: Context) -> int:
    """Creates a Stargate or serves one; returns the exit code."""
    try:
        return _init(args, context) if args.action == "init" else _serve(args, context)
    except ModuleNotFoundError as error:  # a client is installed without the gateway's libraries
        raise ToolError(
            f"the gateway needs the module {error.name}", hint="pip install 'git-kv[stargate]'"
        ) from None


def _init(args: Namespace, context: Context) -> int:
    from gitkv.daemon.create import create_stargate
    from gitkv.gateway.setup import CreationRequest
    from gitkv.git.ssh_address import parse_ssh_url
    from gitkv.git.urls import check_mirror_url
    from gitkv.model.environment import server_environment
    from gitkv.model.refs import Namespace as Ns

    directory = os.path.abspath(context.path(args.directory))
    mirror = (
        args.mirror
        if "://" in args.mirror or ":" in args.mirror
        else os.path.abspath(context.path(args.mirror))
    )
    check_mirror_url(mirror)
    if args.push_url:
        parse_ssh_url(args.push_url)
    name = os.path.basename(directory)
    push_url = args.push_url or f"ssh://git@{DEFAULT_HOST}:{DEFAULT_PORT}/{name}"
    writers = [_named_key(context, word) for word in args.writer]
    request = CreationRequest(
        directory,
        mirror,
        push_url,
        _named_key(context, args.admin, default="admin"),
        writers,
        [Ns(context.ns)],
    )
    created = create_stargate(request, server_environment(context.env))
    if context.json:
        put_json(
            {
                "directory": directory,
                "mirror": mirror,
                "push_url": push_url,
                "host_key": created.host_key,
                "gateway_key": created.gateway_key,
                "ns": context.ns,
            }
        )
        return 0
    put_line(f"created {directory} with namespace {context.ns}; its first state is on {mirror}")
    put_line(f"writers push to {push_url}")
    put_line(f"for the writers' known_hosts: {_known_host(push_url)} {created.host_key}")
    put_line(f"readers' trust begins with the gateway's key {created.gateway_key}")
    put_line(f"start it with: git-kv stargate serve {args.directory} --ssh HOST:PORT")
    return 0


def _known_host(push_url: str) -> str:
    """How ssh writes the host of a push URL in known_hosts."""
    from gitkv.git.ssh_address import parse_ssh_url

    target = parse_ssh_url(push_url)
    return f"[{target.host}]:{target.port}" if target.port not in ("", "22") else target.host


def _serve(args: Namespace, context: Context) -> int:
    from gitkv.model.event import DaemonEnded
    from gitkv.telemetry.capture import capture
    from gitkv.telemetry.log import EventLog
    from gitkv.telemetry.subscribers import Subscribers

    log = Subscribers(EventLog(args.log_format))
    capture(log)  # before the libraries are loaded, which warn
    try:
        _run_daemon(args, context, log)
    except Exception as error:
        if args.log_format != "json":
            raise
        # Whoever reads JSON gets nothing else, up to the last line.
        code = error.exit_code if isinstance(error, GitKvError) else 5
        told = str(error) if isinstance(error, GitKvError) else repr(error)
        log(DaemonEnded(told, type(error).__name__, getattr(error, "hint", ""), code))
        return code
    return 0


def _run_daemon(args: Namespace, context: Context, log: Report) -> None:
    from gitkv.daemon.ending import starting_git
    from gitkv.daemon.serve import Service, serve
    from gitkv.model.configuration import parse_configuration
    from gitkv.model.environment import server_environment

    host, colon, port = args.ssh.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f"--ssh {args.ssh!r}: expected HOST:PORT, the port from 0 to 65535")
    interval_s = args.mirror_interval
    if interval_s is not None and not 0 <= interval_s <= 3600:
        raise UsageError("--mirror-interval: expected a number of seconds from 0 to 3600")
    service = Service(
        os.path.abspath(context.path(args.directory)),
        host.removeprefix("[").removesuffix("]"),
        int(port),
        server_environment(context.env),
        os.path.abspath(context.path(args.port_file)) if args.port_file else "",
        starting_git(),
        parse_configuration({} if interval_s is None else {"mirror": {"interval_s": interval_s}}),
    )
    serve(service, log)


def _named_key(context: Context, word: str, default: str = "") -> tuple[str, str]:
    """(name, public key line) of `NAME=FILE`, or of `FILE` when there is a default name to fall
    back on.
    """
    name, equals, path = word.partition("=")
    if not equals:
        name, path = "", word
        if not default:
            raise UsageError(f"--writer {word!r}: expected NAME=KEY.pub")
    try:
        with open(context.path(path), encoding="utf-8") as file:
            line = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ToolError(
            f"the key file {path!r} cannot be read: {getattr(error, 'strerror', error)}"
        ) from None
    if "PRIVATE KEY" in line:
        raise UsageError(f"{path!r} is a private key: give the public one, usually {path}.pub")
    if "\n" in line:
        raise UsageError(f"{path!r} holds more than one line: expected one public key")
    words = line.split(" ", 2)
    comment = words[2].partition("@")[0] if len(words) == 3 else ""
    return name or comment or default, " ".join(words[:2])
