"""Read the instructions that a sentence-transformers folder stores among its prompts."""

from __future__ import annotations

import json
from pathlib import Path

from bmretriever_integrations.checkpoints import find_checkpoint
from bmretriever_integrations.checkpoints.int8_storage import embedded_folder
from bmretriever_integrations.prompts import query_prompt

PROMPTS = "config_sentence_transformers.json"
"""The file in which sentence-transformers stores prompts."""
OF_QUERIES = "query"
"""The name of the prompt that sentence-transformers puts before queries."""


def stored_instructions(model: str | Path) -> dict[str, str]:
    """
    Find the instructions in the prompts of a folder.

    :param model: a folder, such as a trained or an exported checkpoint, or a checkpoint inside this package. A checkpoint of the
        hub has none.
    :returns: a dict of prompt names and instructions, with the default one under :data:`OF_QUERIES`; empty if there are none.
        Prompts that do not have BMRetriever's template are left out.
    """
    known = find_checkpoint(str(model))
    if known is not None and known.hub_id is not None:  # a folder of the same name is another model
        return {}
    try:
        folder = Path(model).expanduser() if known is None else embedded_folder(known.name)
        prompts = json.loads((folder / PROMPTS).read_text(encoding="utf-8"))["prompts"]
        named = {name: prompt for name, prompt in prompts.items() if isinstance(prompt, str)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}  # another tool's file; the loader says what is wrong with the folder
    end = query_prompt("a", "")[1:]
    return {
        name: prompt[: -len(end)] for name, prompt in named.items() if prompt.endswith(end) and len(prompt) > len(end)
    }
