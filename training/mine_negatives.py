"""Give training pairs hard negatives.

The default is the paper's rule: negatives are drawn from the top 100 of a miner among the positives of the pair's task. With E5:

python training/mine_negatives.py build/pairs --miner sentence-transformers:intfloat/e5-base-v2 --query-prefix "query: " \\
    --passage-prefix "passage: " --output build/mined

With BM25, which needs no model:

python training/mine_negatives.py build/pairs --miner bm25 --output build/mined

With a BMRetriever checkpoint, and the four hardest negatives that score at least 5 % below the positive:

python training/mine_negatives.py build/pairs --miner bmretriever:build/stage1 --negatives 4 --relative-margin 0.05 \\
    --sample hardest --output build/mined

If the run is stopped, even by kill -9, the same command goes on from there. Other filters or another draw use the finished
search again. The results are OUTPUT/pairs.parquet and OUTPUT/report.json; OUTPUT/work may be deleted afterwards.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bmretriever_integrations.terminal.console import open_console
from bmretriever_integrations.training.negatives.embedders import MINERS, load_miner
from bmretriever_integrations.training.negatives.mining import PAIRS, mine
from bmretriever_integrations.training.negatives.pool import SCOPES
from bmretriever_integrations.training.negatives.report import examples, report_table
from bmretriever_integrations.training.negatives.rules import Rules
from bmretriever_integrations.training.pairs.schema import pair_files
from bmretriever_integrations.training.script import run_script, script_parser
from bmretriever_integrations.training.yaml_settings import fill

PAPER = Rules()


def arguments() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    add = parser.add_argument
    add("pairs", type=Path, help="a .parquet file of pairs, or a folder of them")
    add("--output", type=Path, required=True, help="folder of the pairs with negatives, and of the report")
    add("--miner", required=True, help=", ".join(MINERS))
    add("--query-prefix", help='sentence-transformers: text before a query, e.g. "query: "; {instruction} is filled in')
    add("--passage-prefix", help='sentence-transformers: text before a passage, e.g. "passage: "')
    add("--max-length", type=int, help="most tokens of a text (default: the model's limit)")
    add("--device", help="device of the model, e.g. cuda:1 (default: the best of the machine)")
    add(
        "--negatives",
        type=int,
        default=PAPER.negatives,
        help=f"number of negatives of a pair (default {PAPER.negatives})",
    )
    add(
        "--depth",
        type=int,
        default=PAPER.depth,
        help=f"number of best passages that are looked at (default {PAPER.depth}, the paper's)",
    )
    add("--skip", type=int, default=0, help="number of the best candidates that are left out (default 0)")
    add("--absolute-margin", type=float, help="a negative scores at least this below the positive")
    add("--relative-margin", type=float, help="the same as a share of the positive's score, e.g. 0.05")
    add("--max-score", type=float, help="a negative scores at most this")
    add("--margin-from", default="lowest", help="lowest of the query's positives, or the pair's own (default lowest)")
    add("--sample", default="random", help="random or hardest of the candidates left (default random, the paper's)")
    add("--seed", type=int, default=0, help="seed of the draw (default 0)")
    add(
        "--pool",
        default="task",
        choices=SCOPES,
        help="negatives are positives of the same task, or of all (default task)",
    )
    add(
        "--further",
        type=Path,
        nargs="+",
        default=[],
        help="further passages: .jsonl documents, PubMed .xml, pairs .parquet",
    )
    add(
        "--keep",
        action="store_true",
        help="leave pairs that have negatives already as they are (default: replace them)",
    )
    add("--work", type=Path, help="folder of vectors and search results (default OUTPUT/work)")
    add("--show", type=int, default=0, help="number of pairs that are printed with their negatives (default 0)")
    return parser


def run(given: argparse.Namespace) -> None:
    rules = fill(Rules, {name: getattr(given, name) for name in Rules.model_fields})
    pair_files(given.pairs)  # a wrong path is found before a model is loaded
    miner = load_miner(
        given.miner,
        query_prefix=given.query_prefix,
        passage_prefix=given.passage_prefix,
        max_length=given.max_length,
        device=given.device,
    )
    report = mine(
        given.pairs,
        given.output,
        miner,
        rules,
        pool=given.pool,
        further=given.further,
        keep=given.keep,
        work=given.work,
        progress=True,
    )
    console = open_console()
    console.print(report_table(report))
    if report["all"]["replaced"]:
        print(
            f"{report['all']['replaced']:,} pairs had negatives, which were replaced; --keep leaves them as they are."
        )
    if given.show:
        console.print(examples(given.output / PAIRS, given.show))


if __name__ == "__main__":
    run_script(arguments(), run)
