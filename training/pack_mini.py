"""Store a trained checkpoint as int8 rows, in the folder where the package looks for "mini".

python training/pack_mini.py --checkpoint build/mini --output src/bmretriever_integrations/models/mini
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bmretriever_integrations.checkpoints.int8_storage import pack
from bmretriever_integrations.training.script import run_script, script_parser


def arguments() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder that training/train.py wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder of the small copy")
    return parser


def run(given: argparse.Namespace) -> None:
    pack(given.checkpoint, given.output)
    size = sum(path.stat().st_size for path in given.output.iterdir())
    print(f"{given.output}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_script(arguments(), run)
