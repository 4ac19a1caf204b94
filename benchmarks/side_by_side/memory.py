"""Memory beyond the weights while a corpus is indexed, at two sizes: flat, or growing with the corpus?"""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bmretriever_integrations.prompts import passage_prompt
from side_by_side.indexing import index_and_watch
from side_by_side.room import KINDS, Room
from side_by_side.shapes import thin_config
from side_by_side.weights import write_checkpoint, write_for_peers

INDEXERS = ("ours", "st-default")
PRELOADED = (
    "bmretriever_integrations.encoder",
    "bmretriever_integrations.index",
    "transformers.modeling_utils",
)


def measure_memory(room: Room, sizes: tuple[int, int], benchmark: Any) -> dict[str, Any]:
    """
    Index two corpora, each in a fresh process that watches its own memory.

    On a CPU a thin network of the true width embeds the titles alone, so that many passages take little time; on a GPU the whole
    model embeds whole abstracts.

    :param room: the model, set up.
    :param sizes: passages of the two corpora.
    :param benchmark: pytest-benchmark's fixture; it carries the result.
    :returns: what was found, as plain values.
    """
    names = [name for name in INDEXERS if name in {arm.name for arm in room.arms}]
    corpora = [_write_corpus(room, size) for size in sizes]
    where = _network(room)
    jobs = [(name, size, corpus) for name in names for size, corpus in zip(sizes, corpora, strict=True)]

    def run_all() -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        with _fresh_processes() as processes:
            for name, size, corpus in tqdm(jobs, desc=f"{room.model} memory", unit="run", disable=None, leave=False):
                answer = processes.submit(index_and_watch, _job(room, name, corpus, where)).result()
                found[name].append({"passages": size, **answer})
        return found

    found = benchmark.pedantic(run_all, rounds=1, iterations=1)
    lengths = room.tokens([passage_prompt(*_text(room, row)[::-1]) for row in range(min(sizes))])
    return {
        "model": room.model,
        "case": "memory",
        "whole_depth": room.whole,
        "layers": room.whole if room.options.on_cuda else 2,
        "width": room.configs[room.whole].hidden_size,
        "tokens_a_passage": round(sum(map(len, lengths)) / len(lengths), 1),
        "contenders": found,
    }


def _fresh_processes() -> ProcessPoolExecutor:
    """One at a time, a new one for each job; where the system can, they start with the slow imports done."""
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload([*PRELOADED, *(module for name in INDEXERS for module in KINDS[name].needs)])
    return ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1)


def _text(room: Room, row: int) -> tuple[str, str]:
    """Different for every row, as duplicates may be embedded once."""
    title, text = room.all_passages[row % len(room.all_passages)]
    return f"{row + 1}. {title}", text if room.options.on_cuda else ""


def _write_corpus(room: Room, size: int) -> Path:
    path = room.folder / f"corpus-{size}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for row in range(size):
            title, text = _text(room, row)
            file.write(json.dumps({"_id": str(row), "title": title, "text": text}) + "\n")
    return path


def _network(room: Room) -> tuple[Path, Path]:
    """Folders of the network that indexes, as released and for sentence-transformers: fresh processes read it from the disk."""
    whole = room.configs[room.whole]
    config = whole if room.options.on_cuda else thin_config(whole)
    tokenizer, drawn_on = room.folder / "tokenizer", room.options.device
    checkpoint = write_checkpoint(room.folder / "indexer", config, tokenizer, room.options.seed, drawn_on)
    return checkpoint, write_for_peers(checkpoint, room.folder / "indexer-exported")


def _job(room: Room, name: str, corpus: Path, where: tuple[Path, Path]) -> dict[str, Any]:
    return {
        "name": name,
        "corpus": str(corpus),
        "to": str(room.folder / f"index-{name}-{corpus.stem}"),
        "where": [str(folder) for folder in where],
        "device": room.options.device,
        "dtype": room.options.chosen_dtype(),
        "threads": room.options.threads,
    }
