"""Store the adapter of a run of training/135m.yaml as int8, in the folder where the package looks for "small".

python training/pack_small.py --adapter build/small/adapter --output src/bmretriever_integrations/models/small
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bmretriever_integrations.checkpoints.smollm2 import SMOLLM2
from bmretriever_integrations.export.int8_adapter import pack_adapter
from bmretriever_integrations.training.script import run_script, script_parser


def arguments() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("--adapter", type=Path, required=True, help="folder adapter/ that training/train.py wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder of the small copy; must not exist")
    return parser


def run(given: argparse.Namespace) -> None:
    error = pack_adapter(given.adapter, given.output, SMOLLM2, normalize=True)  # 135m.yaml normalises
    size = sum(path.stat().st_size for path in given.output.rglob("*") if path.is_file())
    print(f"{given.output}: {size / 1e6:.2f} MB, largest relative rounding error {error:.4f}")


if __name__ == "__main__":
    run_script(arguments(), run)
