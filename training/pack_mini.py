"""Store a trained checkpoint the small way (int8 rows), where the package looks for "mini".

python training/pack_mini.py --checkpoint build/mini --output src/bmretriever_integrations/models/mini
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bmretriever_integrations.embedded import pack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder that training/train.py wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder of the small copy")
    arguments = parser.parse_args()
    pack(arguments.checkpoint, arguments.output)
    size = sum(path.stat().st_size for path in arguments.output.iterdir())
    print(f"{arguments.output}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
