"""Run ``bmretriever serve``, which answers people, programs and agents over HTTP."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import sys
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bmretriever_integrations.commands.arguments import absolute
from bmretriever_integrations.commands.limits import limits_of
from bmretriever_integrations.settings import QUANTIZATIONS
from bmretriever_integrations.terminal.streams import write_lines

if TYPE_CHECKING:
    from bmretriever_integrations.serving.service import Service
    from bmretriever_integrations.serving.settings import Limits, ServerSettings

ANY_ADDRESS = ("0.0.0.0", "::", "")
"""What stands for all addresses of this machine; a browser needs one of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    add = parser.add_argument
    add("index", nargs="?", metavar="DIR", help="an index that `bmretriever index` made; none: embeddings alone")
    add("--model", help="the model to serve; with an index: where its model is now, if that moved")
    add("--name", metavar="NAME", help="the model's name for clients (default: the last part of its own)")
    add("--instruction", metavar="KEY", help="the task of queries without one of their own; for embeddings alone")
    add("--quantization", choices=QUANTIZATIONS, help="number type of the linear layers; for embeddings alone")
    add("--device", help="e.g. cuda:1 or cpu (default: the fastest device)")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: %(default)s, this machine)")
    add("--port", type=_port, default=8080, metavar="N", help="0 lets the system choose (default: %(default)s)")
    add("--api-key-env", metavar="NAME", help="the environment variable that holds the key clients must send")
    further = parser.add_argument_group("who may ask, and how much; each can be given several times").add_argument
    further(
        "--allow-host",
        type=_name,
        action="append",
        default=[],
        metavar="NAME",
        help="a further name of this server, e.g. papers.example.org behind a proxy",
    )
    further(
        "--cors-origin",
        type=_origin,
        action="append",
        default=[],
        metavar="URL",
        help="a site whose pages may use this server, e.g. https://app.example.org",
    )
    further(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=N",
        help="another bound of what is accepted, e.g. texts=4096; a wrong name lists all",
    )
    add("--log-texts", action="store_true", help="write questions and texts into the log")


def run(arguments: argparse.Namespace) -> int:
    """
    Serve until the process is told to stop.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    _check(arguments)
    from bmretriever_integrations.checkpoints.garbage import set_aside_what_is_loaded
    from bmretriever_integrations.commands.screen import silence_libraries
    from bmretriever_integrations.encoder.cut_texts import CutTextWarning
    from bmretriever_integrations.serving.app import create_app
    from bmretriever_integrations.serving.listening import listen
    from bmretriever_integrations.serving.log import log_to_stderr
    from bmretriever_integrations.serving.open_files import allow_connections
    from bmretriever_integrations.serving.run import Server, server_of
    from bmretriever_integrations.serving.threads import chosen_threads

    silence_libraries()
    settings = _settings(arguments)
    allow_connections(settings.limits.connections)
    with ExitStack() as open_things, warnings.catch_warnings():
        warnings.simplefilter("ignore", CutTextWarning)  # answers and /metrics tell of texts that are cut
        sockets = listen(settings.host, settings.port)  # before the model is loaded, which takes longer
        for each in sockets:
            open_things.callback(each.close)
        _warn(settings)
        service = _service(arguments, settings.limits, open_things)
        log_to_stderr()

        def say(server: Server) -> None:
            write_lines(_ready(settings.host, server.port, service))
            sys.stdout.flush()

        open_things.enter_context(chosen_threads(service.embedder.encoder))
        server = server_of(create_app(service, settings), settings, sockets, say)
        set_aside_what_is_loaded()
        server.run()
    return 0


def _port(word: str) -> int:
    if not word.isdecimal() or int(word) > 65535:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 65535, got {word!r}")
    return int(word)


def _name(word: str) -> str:
    if not re.fullmatch(r"[^\s/@:\[\]]+(:\d+)?|\[[0-9a-fA-F:.]+\](:\d+)?", word):
        raise argparse.ArgumentTypeError(f"must be a name such as papers.example.org, got {word!r}")
    return word


def _origin(word: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@*]+", word):
        raise argparse.ArgumentTypeError(
            f"must be a site such as https://app.example.org, without a path, got {word!r}"
        )
    return word.lower()


def _check(arguments: argparse.Namespace) -> None:
    if arguments.index is None and arguments.model is None:
        raise ValueError("nothing to serve: name an index, or --model NAME for embeddings alone")
    for option in ("instruction", "quantization"):
        if arguments.index is not None and getattr(arguments, option) is not None:
            raise ValueError(f"--{option} is for embeddings alone: an index is searched as it was made; leave it out")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _settings(arguments: argparse.Namespace) -> ServerSettings:
    from bmretriever_integrations.serving.settings import ServerSettings

    key = None
    if arguments.api_key_env is not None:
        key = os.environ.get(arguments.api_key_env, "").strip()
        if not key:
            raise ValueError(f"--api-key-env: the environment variable {arguments.api_key_env} is not set or empty")
        if not key.isascii() or not key.isprintable():
            raise ValueError(
                f"--api-key-env: the key in {arguments.api_key_env} has characters that headers cannot carry; "
                "take ASCII, e.g. of `openssl rand -hex 32`"
            )
    return ServerSettings(
        host=arguments.host,
        port=arguments.port,
        api_key=key,
        hosts=tuple(arguments.allow_host),
        origins=tuple(arguments.cors_origin),
        log_texts=arguments.log_texts,
        limits=limits_of(arguments.limit),
    )


def _warn(settings: ServerSettings) -> None:
    if settings.api_key is None and not _is_this_machine(settings.host):
        warning = (
            f"warning: {settings.host} is reached from other machines, and there is no key: whoever reaches it can use the "
            "server; --api-key-env NAME sets a key"
        )
        write_lines([warning], sys.stderr)


def _service(arguments: argparse.Namespace, limits: Limits, open_things: ExitStack) -> Service:
    """Open the engine and the index, to be closed in the end."""
    from bmretriever_integrations.encoder import BMRetrieverEncoder
    from bmretriever_integrations.index import SearchIndex
    from bmretriever_integrations.serving.service import Service

    model = arguments.model and absolute(arguments.model)
    if arguments.index is None:
        encoder = BMRetrieverEncoder(
            model,
            device=arguments.device,
            quantization=arguments.quantization,
            instruction=arguments.instruction,
        )
        return Service.of_model(open_things.enter_context(encoder), limits, arguments.name)
    index = open_things.enter_context(SearchIndex.open(arguments.index, model=model, device=arguments.device))
    encoder = open_things.enter_context(index.open_encoder())
    return Service.of_index(index, encoder, limits, arguments.name)


def _ready(host: str, port: int, service: Service) -> list[str]:
    """Say where the server is and what it serves, in one line."""
    at = _address(host, port)
    names = f"{service.names.passages} (passages), {service.names.queries} (queries)"
    if service.searcher is None:
        return [f"Listening on {at} for embeddings: {names}"]
    page = _address("localhost" if host in ANY_ADDRESS else host, port)
    return [f"Listening on {at} for searches of {service.index_name} and embeddings: {names}; search page: {page}/"]


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
