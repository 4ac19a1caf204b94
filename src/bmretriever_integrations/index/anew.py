"""The command that makes an index anew: for one of an earlier form, and for one that is damaged."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bmretriever_integrations.index.places.place import Place
from bmretriever_integrations.settings import MAX_LENGTH, asked_quantization


def command_anew(place: Place, encoder: Mapping[str, Any], sources: Sequence[str]) -> str:
    """
    Return the command that makes an index anew in another folder, as a shell reads it, and what must be true for it to work.

    :param place: the index.
    :param encoder: the identity of its engine, from its manifest.
    :param sources: names of the files that it was made from, without their folders. A name stands once.
    """
    target = place.free_neighbour()
    model = str(encoder["model"])
    words = ["bmretriever", "index", *dict.fromkeys(map(_as_file, sources)), "--to", str(target), "--model", model]
    if encoder.get("max_length", MAX_LENGTH) != MAX_LENGTH:
        words += ["--max-length", str(encoder["max_length"])]
    quantization = asked_quantization(encoder.get("quantization"))
    if quantization:
        words += ["--quantization", quantization]
    command = shlex.join(words) if sources else shlex.join(words).replace(" --to ", " SOURCE... --to ", 1)
    moved = Path(model).is_absolute() and not Path(model).exists()
    hint = ", and the model's new folder behind --model, since it is no longer there" if moved else ""
    return f"{command} (run it in the folder of the source files{hint})"


def _as_file(name: str) -> str:
    """Let a name that begins with a dash be a file, not an option."""
    return f"./{name}" if name.startswith("-") else name
