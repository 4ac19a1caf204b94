"""
Write an index with all machines of a Ray cluster: each reads, embeds and writes a part of it. The machines share a disk.

Run:
    python examples/ray_index.py /shared/pubmed26n*.xml.gz --to /shared/pubmed --model 410M --workers 16
"""

from __future__ import annotations

import argparse
from pathlib import Path

import lance_ray
import ray

from bmretriever_integrations.index import SearchIndex, index_table
from bmretriever_integrations.ray_data import BMRetrieverIndexRows, read_sources

BATCH = 4096  # records that an engine sorts by length at a time
ROWS_OF_A_FILE = 1_000_000  # each writer first collects so many rows, of 4 to 6 KB with 410M


def write_table(sources: list[Path], folder: Path, model: str, workers: int) -> None:
    """Fill the table of an index. Ray does again what a lost worker did, and one commit at the end makes all rows visible."""
    rows = read_sources(sources).map_batches(
        BMRetrieverIndexRows,
        fn_constructor_kwargs={"model": model},
        batch_size=BATCH,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_gpus=1 if ray.cluster_resources().get("GPU") else 0,
    )
    lance_ray.write_lance(rows, str(folder / "records.lance"), min_rows_per_file=ROWS_OF_A_FILE)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write an index with all machines of a Ray cluster.")
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--to", required=True, type=Path, metavar="DIR")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--question", default="Does metformin lower the risk of cancer?")
    words = parser.parse_args()
    ray.init(ignore_reinit_error=True)  # RAY_ADDRESS, or a cluster on this machine
    write_table(words.sources, words.to, words.model, words.workers)
    print(f"{index_table(words.to, say=print).records:,} records")
    with SearchIndex.open(words.to) as index:
        for hit in index.search(words.question):
            print(f"{hit.rank}. PMID {hit.id}  {hit.title}")


if __name__ == "__main__":
    main()
