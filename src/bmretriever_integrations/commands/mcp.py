"""Run ``bmretriever mcp``, which gives an index to a language model as tools."""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from bmretriever_integrations.commands.arguments import absolute

if TYPE_CHECKING:
    from bmretriever_integrations.serving.service import Service


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    add = parser.add_argument
    add("index", metavar="DIR", help="an index that `bmretriever index` made")
    add("--model", help="where its model is now, if that moved")
    add("--device", help="e.g. cuda:1 or cpu (default: the fastest device)")


def run(arguments: argparse.Namespace) -> int:
    """
    Speak the Model Context Protocol over standard input and output, until the input ends.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    from bmretriever_integrations.index.manifest import manifest_of
    from bmretriever_integrations.serving.agents.stdio import Opening, serve

    manifest_of(arguments.index)  # a client shows an error better that comes before its first message
    # Standard input is read on a thread, which an interrupt does not wake. Nothing is lost when the process ends at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(serve(Opening(partial(_load, arguments))))
    return 0


def _load(arguments: argparse.Namespace, open_things: ExitStack) -> Service:
    """Open the index and its engine, which takes seconds, and begin to embed."""
    from bmretriever_integrations.commands.screen import silence_libraries
    from bmretriever_integrations.index import SearchIndex
    from bmretriever_integrations.serving.service import Service
    from bmretriever_integrations.serving.settings import Limits

    silence_libraries()
    model = arguments.model and absolute(arguments.model)
    index = open_things.enter_context(SearchIndex.open(arguments.index, model=model, device=arguments.device))
    service = Service.of_index(index, open_things.enter_context(index.open_encoder()), Limits())
    service.start()
    return service
