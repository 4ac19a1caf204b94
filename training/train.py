"""Train one stage of a recipe.

  python training/train.py training/mini.yaml --stage 1 --base build/base --data build/pairs --output build/stage1

If the run is killed, the same command resumes it. On several devices:

  accelerate launch --num_processes 4 training/train.py training/410m.yaml --stage 1 ...
  torchrun --nproc-per-node 4 training/train.py training/410m.yaml --stage 1 ...
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bmretriever_integrations.device import keep_freed_memory
from bmretriever_integrations.training.script import run_script, script_parser
from bmretriever_integrations.training.stages.recipe import load_settings


def arguments() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("recipe", type=Path, help="YAML of a model size")
    parser.add_argument("--stage", type=int, choices=(1, 2), required=True, help="stage to train")
    parser.add_argument("--base", required=True, help="model to start from: a folder, or a hub id")
    parser.add_argument("--data", type=Path, required=True, help="pairs: a folder of .parquet files, or one file")
    parser.add_argument("--output", type=Path, required=True, help="folder of the run and its checkpoint")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting, e.g. --set stage2.negatives=0 or --set lora.rank=8; may be repeated",
    )
    return parser


def run(given: argparse.Namespace) -> None:
    settings = load_settings(given.recipe, given.stage, given.set)
    keep_freed_memory()  # freeing and filling blocks of 120 MB took a tenth of the time on a virtual machine
    from accelerate import PartialState

    from bmretriever_integrations.training.stages.record import summary
    from bmretriever_integrations.training.stages.run import train_stage
    from bmretriever_integrations.training.stages.state import RECORD

    before = (given.output / RECORD).is_file()
    record = train_stage(
        given.base, given.data, given.output, settings, name=f"{given.recipe.stem}, stage {given.stage}"
    )
    if PartialState().is_main_process:
        note = "; it was finished before, and nothing was trained now" if before else ""
        print(f"{given.output}: {summary(record)}{note}")


if __name__ == "__main__":
    run_script(arguments(), run)
