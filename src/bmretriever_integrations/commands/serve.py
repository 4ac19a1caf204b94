"""Run ``bmretriever serve``, which answers people, programs and agents over HTTP."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bmretriever_integrations.commands.arguments import absolute

if TYPE_CHECKING:
    from bmretriever_integrations.serving.service import Service
    from bmretriever_integrations.serving.settings import Limits, ServerSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    add = parser.add_argument
    add("index", nargs="?", metavar="DIR", help="an index that `bmretriever index` made; none: embeddings alone")
    add("--model", help="the model to serve; with an index: where its model is now, if that moved")
    add("--name", metavar="NAME", help="the model's name for clients (default: the last part of its own)")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: %(default)s, this machine)")
    add("--port", type=int, default=8080, metavar="N", help="0 lets the system choose (default: %(default)s)")
    add("--api-key-env", metavar="NAME", help="the environment variable that holds the key clients must send")
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name of this server, as behind a proxy",
    )
    add(
        "--cors-origin",
        action="append",
        default=[],
        metavar="URL",
        help="a web page elsewhere that may read the answers",
    )
    add("--log-texts", action="store_true", help="write questions and texts into the log")
    add("--device", help="e.g. cuda:1 or cpu (default: the fastest device)")


def run(arguments: argparse.Namespace) -> int:
    """
    Serve until the process is told to stop.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    if arguments.index is None and arguments.model is None:
        raise ValueError("nothing to serve: name an index, or --model NAME for embeddings alone")
    from bmretriever_integrations.commands.screen import silence_libraries
    from bmretriever_integrations.serving.app import create_app
    from bmretriever_integrations.serving.run import server_of

    silence_libraries()
    settings = _settings(arguments)
    with ExitStack() as open_things:
        service = _service(arguments, settings.limits, open_things)
        server = server_of(create_app(service, settings), settings)
        server.run()
    return 0


def _settings(arguments: argparse.Namespace) -> ServerSettings:
    from bmretriever_integrations.serving.settings import ServerSettings

    key = None
    if arguments.api_key_env is not None:
        key = os.environ.get(arguments.api_key_env, "")
        if not key.strip():
            raise ValueError(f"--api-key-env: the environment variable {arguments.api_key_env} is not set or empty")
    return ServerSettings(
        host=arguments.host,
        port=arguments.port,
        api_key=key,
        hosts=tuple(arguments.allow_host),
        origins=tuple(arguments.cors_origin),
        log_texts=arguments.log_texts,
    )


def _service(arguments: argparse.Namespace, limits: Limits, open_things: ExitStack) -> Service:
    """Open the engine and the index, to be closed in the end."""
    from bmretriever_integrations.encoder import BMRetrieverEncoder
    from bmretriever_integrations.index import SearchIndex
    from bmretriever_integrations.serving.service import Service

    model = arguments.model and absolute(arguments.model)
    if arguments.index is None:
        encoder = open_things.enter_context(BMRetrieverEncoder(model, device=arguments.device))
        return Service.of_model(encoder, limits, arguments.name)
    index = open_things.enter_context(SearchIndex.open(arguments.index, model=model, device=arguments.device))
    encoder = open_things.enter_context(index.open_encoder())
    return Service.of_index(index, encoder, limits, arguments.name)
