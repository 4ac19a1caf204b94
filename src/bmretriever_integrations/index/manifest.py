"""manifest.json: which engine made the vectors, from which sources, and the checksums of the files beside it."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from bmretriever_integrations.index.anew import command_anew
from bmretriever_integrations.index.places.place import Place
from bmretriever_integrations.index.places.where import Where, place_of
from bmretriever_integrations.index.schema import VectorType
from bmretriever_integrations.index.table import FILES
from bmretriever_integrations.prompts import passage_prompt

NAME = "manifest.json"
FORMAT = 2
METRIC = "dot"
ATTEMPTS = 10
"""An object is read in two requests, of which the first asks for its length. One that is replaced between them comes cut."""
PASSAGE_TEMPLATE = passage_prompt("{text}", "{title}")


class DamagedIndex(ValueError):
    """The folder is no index, or its files are not those that were written."""


class IndexMismatch(ValueError):
    """The folder holds an index made another way; both ways are in the message."""


@dataclass(frozen=True)
class SourceRead:
    """A source that was read to its end, or as far as it is readable, and whose records are all in the table."""

    name: str
    """Name of the file, without its folder."""
    bytes: int
    sha256: str
    reader: str
    """Version of this package that read it: another version may read other texts from it."""
    records: int = 0
    """Number of its records."""
    damage: str = ""
    """From where on it is unreadable, and why; "" if it was read whole."""


@dataclass(frozen=True)
class SourceBegun:
    """A source that is being read."""

    name: str
    sha256: str
    reader: str
    chunks: int
    """Number of its chunks of records that are in the table."""


@dataclass(frozen=True)
class FileChecksum:
    """Size and SHA-256 of a file of the table. Such a file never changes."""

    bytes: int
    sha256: str


@dataclass
class Manifest:
    """What an index says of itself. No path in it must stay where it is: the model counts by its fingerprint."""

    encoder: dict[str, Any]
    """The engine's identity. ``files_sha256`` is the fingerprint of the weights, ``model`` the name by which they were found."""
    batch_tokens: int
    """Tokens of a batch: which texts share a batch decides the last bits of a vector."""
    portion: int = 4096
    """Records that are read, embedded and committed at a time: which ones are embedded together decides their vectors, too."""
    vector_type: VectorType = "float16"
    """Number type of the stored vectors."""
    vector_error: float = 0.0
    """Largest relative error that storing made in a vector: length of the difference, divided by the vector's."""
    sources: list[SourceRead] = field(default_factory=list)
    """The sources that were read and need not be read again."""
    begun: SourceBegun | None = None
    """The source that the last run was reading when it stopped."""
    withdrawn: dict[str, str] = field(default_factory=dict)
    """Maps each id that PubMed withdrew to the latest revision date of the file that says so; "" if that is unknown."""
    complete: bool = False
    """Whether the last run came to its end."""
    tuned: dict[str, Any] | None = None
    """The choice of ``tune``: how the approximate index is searched, and what was measured."""
    checksums: dict[str, FileChecksum] = field(default_factory=dict)
    """Maps the files of the table, by their path inside the index, to their checksums."""
    passage_template: str = PASSAGE_TEMPLATE
    metric: str = METRIC
    format: int = FORMAT
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the packages with which the index was begun."""

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self.encoder["width"])

    @property
    def settings(self) -> dict[str, Any]:
        """All that must be equal for two runs to write into one folder. The model's name is not: its weights count."""
        named = {key: value for key, value in self.encoder.items() if key not in ("model", "revision")}
        return {**named, "passage_template": self.passage_template, "metric": self.metric}

    def command(self, folder: Where) -> str:
        """
        Return the command that makes this index anew.

        :param folder: where it is.
        """
        return command_anew(place_of(folder), self.encoder, [source.name for source in self.sources])

    def write(self, folder: Where) -> None:
        """
        Put it into the folder, as a whole, with a checksum of its own.

        :param folder: the index.
        """
        content = json.loads(json.dumps(asdict(self)))  # as it will be read
        text = json.dumps({**content, "sha256": _digest(content)}, indent=1) + "\n"
        place_of(folder).write(NAME, text.encode("ascii"))  # names of files may hold what is no UTF-8

    def check_same(self, wanted: Manifest, folder: Where) -> None:
        """
        Refuse to go on with other settings than the folder was begun with.

        :param wanted: the manifest that this run would begin.
        :param folder: the index, for the message.
        :raises IndexMismatch: naming every difference with both values.
        """
        here, there = self.settings, wanted.settings
        names = [key for key in {**here, **there} if here.get(key) != there.get(key)]
        if not names:
            return
        if "files_sha256" in names:
            names.insert(0, "model")
            here["model"], there["model"] = self.encoder["model"], wanted.encoder["model"]
        found = ", ".join(f"{name}={here.get(name)!r}" for name in names)
        asked = ", ".join(f"{name}={there.get(name)!r}" for name in names)
        raise IndexMismatch(
            f"{folder} was made with {found}; this run asks for {asked}. Use the same settings, or another folder."
        )


def read_manifest(folder: Where) -> Manifest | None:
    """
    Read a folder's manifest.

    :param folder: the index.
    :returns: the manifest, or None if there is none.
    :raises DamagedIndex: if it is unreadable, was changed, or is of another format.
    """
    place = place_of(folder)
    for attempt in range(ATTEMPTS):
        stored = place.read(NAME)
        if stored is None:
            return None
        try:
            return _parsed(place, stored)
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            if isinstance(error, DamagedIndex):
                raise
            if place.is_local or attempt + 1 == ATTEMPTS:
                raise DamagedIndex(
                    f"{place.address_of(NAME)} is damaged ({type(error).__name__}: {error}). Restore the whole index from a "
                    "copy, or make it anew in an empty folder"
                ) from error
    return None


def _parsed(place: Place, stored: bytes) -> Manifest:
    content = json.loads(stored.decode("utf-8"))
    if content["format"] != FORMAT:
        raise DamagedIndex(_other_format(place, content))
    if content.pop("sha256") != _digest(content):
        raise ValueError("its checksum is not that of its content")
    content["sources"] = [SourceRead(**source) for source in content["sources"]]
    content["begun"] = content["begun"] and SourceBegun(**content["begun"])
    content["checksums"] = {name: FileChecksum(**of) for name, of in content["checksums"].items()}
    return Manifest(**content)


def manifest_of(folder: Where) -> Manifest:
    """
    Read the manifest of an index that must be there.

    :param folder: the index.
    :raises FileNotFoundError: if there is no index.
    :raises DamagedIndex: if the manifest is unreadable, was changed, or is of another format.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise FileNotFoundError(f"{folder} holds no index (no {NAME}); {_how_to_begin(place_of(folder))}")
    return manifest


def _how_to_begin(place: Place) -> str:
    """Say which command makes an index there."""
    with suppress(NotADirectoryError):
        if FILES in place.names():
            return f"if a job wrote its table, run `bmretriever index-table {place}`"
    return f"make one with `bmretriever index SOURCE --to {place}`"


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def _other_format(place: Place, content: dict[str, Any]) -> str:
    """Say how an index of another format is made anew, in one command."""
    if content["format"] != 1:
        return f"{place.address_of(NAME)} is of format {content['format']!r}; this version reads format {FORMAT}"
    sources = [str(source["name"]) for source in content["sources"]]
    return (
        f"{place} is an index of an earlier form (format 1), which this version does not read. Make it anew: "
        f"{command_anew(place, content['encoder'], sources)}"
    )
