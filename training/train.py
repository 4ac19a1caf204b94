"""Run one stage of the recipe.

python training/train.py training/mini_stage1.yaml --base build/base --data DATA/train --output build/stage1
"""

from __future__ import annotations

import argparse
import json
import shutil
from importlib.metadata import version
from pathlib import Path

from bmretriever_integrations.training.stages import load_settings, train_stage

PACKAGES = ("torch", "transformers", "sentence-transformers", "datasets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML of the stage")
    parser.add_argument("--base", type=Path, required=True, help="folder of the model to start from")
    parser.add_argument("--data", type=Path, required=True, help="folder that the sources' paths start from")
    parser.add_argument("--output", type=Path, required=True, help="where the checkpoint goes")
    arguments = parser.parse_args()
    settings = load_settings(arguments.config)
    losses = train_stage(arguments.base, arguments.data, arguments.output, settings)
    shutil.copy(arguments.config, arguments.output / "settings.yaml")
    record = {"losses": losses, "versions": {package: version(package) for package in PACKAGES}}
    (arguments.output / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
