"""What all of PubMed takes with each checkpoint: tokens, GPU-hours, disk, memory of an index; for docs/pubmed-size.md."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from index_size import index_tables
from pages import fill

from bmretriever_integrations.checkpoints import RELEASED, Checkpoint
from bmretriever_integrations.files import write_whole
from bmretriever_integrations.markdown import markdown_table

ROOT = Path(__file__).parents[1]
MEASURED = Path(__file__).with_name("pubmed_tokens.json")
GROWN = Path(__file__).with_name("index_growth.json")
PAGE = ROOT / "docs" / "pubmed-size.md"
GROUPS = ("abstract", "title")
"""Records with an abstract, and those with a title alone."""
BYTES = {"float32": 4.0, "float16": 2.0, "int8": 1.0, "binary": 1 / 8}
"""Of one dimension of a stored vector."""
# FAISS wiki, "Guidelines to choose an index": HNSW takes (d * 4 + M * 2 * 4) bytes a vector; 2**18 cells for 10 to 100 million.
HNSW_LINKS = 32
CELLS = 2**18
PQ_BYTES = 128
ID_BYTES = 8


@dataclass(frozen=True)
class Assumed:
    """What is not measured; every one is an option of the command."""

    records: float = 40e6
    """NLM writes "more than 39 million citations"; the number grows by more than a million a year."""
    with_abstract: float = 0.7
    """Share. Of the two sample files it is 0.49 (the 1970s) and 0.89 (2021)."""
    peak: float = 989e12
    """FLOP/s of one GPU: NVIDIA's data sheet of the H100 SXM, dense bfloat16."""
    share_of_peak: float = 0.5
    """What an engine reaches of it."""
    price: float | None = None
    """Of one GPU-hour; None says nothing of cost."""


def measure(files: Sequence[Path], store: Path | None) -> dict[str, Any]:
    """
    Count the tokens of real records with the checkpoints' own tokenizers.

    :param files: files of PubMed.
    :param store: where the tokenizers' packages are kept or downloaded to; None takes the one of ``mini`` for all.
    :returns: for each checkpoint and group: records, mean tokens, share that is cut at 512, mean GFLOP of a plain forward.
    """
    from side_by_side.real_tokenizers import write_tokenizer
    from side_by_side.shapes import config_of, flops
    from transformers import AutoTokenizer

    from bmretriever_integrations.corpus import read_corpus
    from bmretriever_integrations.encoder.tokens import PromptTokenizer
    from bmretriever_integrations.prompts import passage_prompt
    from bmretriever_integrations.settings import MAX_LENGTH

    records = list(read_corpus(list(files)))
    prompts = {
        "abstract": [passage_prompt(record.text, record.title) for record in records if record.text.strip()],
        "title": [passage_prompt("", record.title) for record in records if not record.text.strip()],
    }
    found: dict[str, Any] = {"files": [file.name for file in files], "checkpoints": {}}
    lengths: dict[str, dict[str, list[int]]] = {}
    for checkpoint in RELEASED:
        if checkpoint.architecture not in lengths:
            folder = Path(tempfile.mkdtemp())
            print(write_tokenizer(folder, checkpoint.architecture, store), file=sys.stderr)
            tokenizer = PromptTokenizer(AutoTokenizer.from_pretrained(folder), MAX_LENGTH)
            lengths[checkpoint.architecture] = {
                group: [len(ids) for ids in tokenizer(prompts[group])] for group in GROUPS
            }
        config = config_of(checkpoint.name, 0)
        found["checkpoints"][checkpoint.name] = {
            group: {
                "records": len(counts),
                "bytes": round(sum(len(prompt.encode()) for prompt in prompts[group]) / len(counts), 1),
                "tokens": round(sum(counts) / len(counts), 1),
                "cut": round(sum(count == MAX_LENGTH for count in counts) / len(counts), 4),
                "gflop": round(flops(config, counts) / len(counts) / 1e9, 2),
            }
            for group, counts in lengths[checkpoint.architecture].items()
        }
    return found


def mean(measured: dict[str, Any], checkpoint: Checkpoint, name: str, assumed: Assumed) -> float:
    """
    Weigh the two groups of records.

    :param measured: the result of :func:`measure`.
    :param checkpoint: which one's.
    :param name: "tokens" or "gflop".
    :param assumed: tells the share with an abstract.
    """
    groups = measured["checkpoints"][checkpoint.name]
    whole, title = (float(groups[group][name]) for group in GROUPS)
    return assumed.with_abstract * whole + (1 - assumed.with_abstract) * title


def gpu_hours(measured: dict[str, Any], checkpoint: Checkpoint, assumed: Assumed) -> float:
    """
    Records x FLOP of a record / (peak x share of it) / 3600.

    :param measured: the result of :func:`measure`.
    :param checkpoint: which one.
    :param assumed: the rest.
    """
    work = assumed.records * mean(measured, checkpoint, "gflop", assumed) * 1e9
    return work / (assumed.peak * assumed.share_of_peak) / 3600


def index_bytes(width: int, records: float) -> dict[str, float]:
    """
    Work out what each kind of FAISS index holds in memory.

    :param width: the width of a vector.
    :param records: how many.
    """
    return {
        "flat, float32": records * width * 4,
        f"HNSW, M = {HNSW_LINKS}, float32": records * (width * 4 + HNSW_LINKS * 2 * 4),
        f"HNSW, M = {HNSW_LINKS}, int8": records * (width + HNSW_LINKS * 2 * 4),
        f"IVF-PQ, 2^18 cells, {PQ_BYTES} bytes": records * (PQ_BYTES + ID_BYTES) + CELLS * width * 4,
        "flat, binary": records * width / 8,
    }


def tables(measured: dict[str, Any], assumed: Assumed) -> dict[str, str]:
    """
    Write every table of the page.

    :param measured: the result of :func:`measure`.
    :param assumed: the rest.
    :returns: name -> Markdown.
    """
    groups = {checkpoint.name: measured["checkpoints"][checkpoint.name] for checkpoint in RELEASED}

    def total(checkpoint: Checkpoint, name: str) -> float:
        return assumed.records * mean(measured, checkpoint, name, assumed)

    def hours(checkpoint: Checkpoint) -> float:
        return gpu_hours(measured, checkpoint, assumed)

    tokens: dict[str, Callable[[Checkpoint], str]] = {
        "tokens of a record with abstract": lambda c: f"{groups[c.name]['abstract']['tokens']:.0f}",
        "tokens of a title alone": lambda c: f"{groups[c.name]['title']['tokens']:.0f}",
        "records with abstract cut at 512": lambda c: f"{groups[c.name]['abstract']['cut']:.1%}",
        "tokens of all records": lambda c: f"{total(c, 'tokens') / 1e9:.1f} billion",
        "GFLOP of a record with abstract": lambda c: f"{groups[c.name]['abstract']['gflop']:,.0f}",
        "FLOP of all records": lambda c: f"{total(c, 'gflop') / 1e9:.1f} x 10^18",
        f"GPU-hours at an assumed {assumed.share_of_peak:.0%} of peak": lambda c: f"{hours(c):,.1f}",
    }
    if (price := assumed.price) is not None:
        tokens[f"cost at {price:g} a GPU-hour"] = lambda c: f"{hours(c) * price:,.1f}"
    disk = {name: (lambda c, size=size: _gb(assumed.records * c.width * size)) for name, size in BYTES.items()}
    kinds = index_bytes(1, 1)
    memory = {name: (lambda c, name=name: _gb(index_bytes(c.width, assumed.records)[name])) for name in kinds}
    of_index = index_tables(json.loads(GROWN.read_text()), assumed.records)
    return {"compute": _table(tokens), "disk": _table(disk), "memory": _table(memory), **of_index}


def _table(rows: dict[str, Callable[[Checkpoint], str]]) -> str:
    body = [[name, *(cell(checkpoint) for checkpoint in RELEASED)] for name, cell in rows.items()]
    return markdown_table(["", *(f"`{checkpoint.name}`" for checkpoint in RELEASED)], body)


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size < 1e11 else f"{size / 1e9:,.0f} GB"


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command.

    :param argv: its words; None takes the process's own.
    """
    parser = argparse.ArgumentParser(
        description=f"{__doc__} Example: python benchmarks/pubmed_size.py --records 40e6 --share-of-peak 0.4 --price 2.5"
    )
    for name, value in vars(Assumed()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=value, help="default: %(default)s")
    parser.add_argument(
        "--measure", nargs="+", type=Path, metavar="FILE", help="count the tokens of PubMed files anew first"
    )
    parser.add_argument(
        "--store", type=Path, default=Path(tempfile.gettempdir()), help="folder for tokenizers' packages"
    )
    parser.add_argument("--write", action="store_true", help="put the tables into the page instead of printing them")
    words = parser.parse_args(argv)
    if words.measure:
        content = json.dumps(measure(words.measure, words.store), indent=1) + "\n"
        write_whole(MEASURED, content.encode())
    assumed = Assumed(**{name: getattr(words, name) for name in vars(Assumed())})
    made = tables(json.loads(MEASURED.read_text()), assumed)
    if words.write:
        write_whole(PAGE, fill(PAGE.read_text(encoding="utf-8"), made).encode())
    else:
        print("\n\n".join(made.values()))


if __name__ == "__main__":
    main()
