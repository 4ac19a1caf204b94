"""Store a trained checkpoint the small way (int8 rows), where the package looks for "mini".

python training/pack_mini.py --checkpoint build/mini --output src/bmretriever_integrations/models/mini
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bmretriever_integrations.checkpoints.int8_storage import pack
from bmretriever_integrations.cli import Parser, status_of


def arguments() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder that training/train.py wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder of the small copy")
    return parser


def run(given: argparse.Namespace) -> int:
    pack(given.checkpoint, given.output)
    size = sum(path.stat().st_size for path in given.output.iterdir())
    print(f"{given.output}: {size / 1e6:.1f} MB")
    return 0


def main() -> int:
    given = arguments().parse_args()
    return status_of(lambda: run(given))


if __name__ == "__main__":
    sys.exit(main())
