"""manifest.json: which engine made the vectors, of what, and what must lie beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bmretriever_integrations.files import write_whole
from bmretriever_integrations.index.shards import Shard
from bmretriever_integrations.prompts import passage_prompt

NAME = "manifest.json"
FORMAT = 1
METRIC = "dot"
PASSAGE_TEMPLATE = passage_prompt("{text}", "{title}")


class DamagedIndex(ValueError):
    """The folder is no index, or its files are not those that were written."""


class IndexMismatch(ValueError):
    """The folder holds an index made another way; both ways are in the message."""


@dataclass
class Manifest:
    """What an index's folder says of itself. It holds no times and no paths but the model's, so equal runs give equal bytes."""

    encoder: dict[str, Any]
    """The engine's identity. ``files_sha256`` covers the checkpoint's files, and a LoRA adapter's beside its base's."""
    shard_size: int
    """Records of a shard; the last one may hold fewer."""
    batch_tokens: int
    """Padded tokens of a batch: which texts share a batch decides the last bits of a vector."""
    sources: list[dict[str, Any]]
    """Name and bytes of each source, in their order."""
    shards: list[Shard] = field(default_factory=list)
    complete: bool = False
    counts: dict[str, Any] = field(default_factory=dict)
    """Once complete: records, searchable, replaced, deleted, and skipped by reason."""
    hidden_sha256: str | None = None
    """Once complete: SHA-256 of hidden.npy, the rows that later versions replaced or that PubMed withdrew."""
    passage_template: str = PASSAGE_TEMPLATE
    metric: str = METRIC
    format: int = FORMAT
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """Records in finished shards."""
        return sum(shard.records for shard in self.shards)

    @property
    def settings(self) -> dict[str, Any]:
        """All that must be equal for two runs to write into one folder. The model's name is not: its files count."""
        named = {key: value for key, value in self.encoder.items() if key not in ("model", "revision")}
        return {
            **named,
            "shard_size": self.shard_size,
            "passage_template": self.passage_template,
            "metric": self.metric,
        }

    def write(self, folder: Path) -> None:
        """
        Put it into the folder, as a whole.

        :param folder: the index.
        """
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"
        write_whole(folder / NAME, text.encode("utf-8"))

    def check_same(self, wanted: Manifest, folder: Path) -> None:
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


def read_manifest(folder: Path) -> Manifest | None:
    """
    Read a folder's manifest.

    :param folder: the index.
    :returns: the manifest, or None if there is none.
    :raises DamagedIndex: if it is unreadable or of another format.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise DamagedIndex(f"{path} is of format {content['format']!r}; this version reads format {FORMAT}")
        shards = [Shard(**shard) for shard in content.pop("shards")]
        manifest = Manifest(**content, shards=shards)
        _check_types(manifest)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DamagedIndex):
            raise
        raise DamagedIndex(
            f"{path} is damaged ({type(error).__name__}: {error}). Restore it from a copy, or build the index anew in an "
            "empty folder."
        ) from error
    return manifest


def _check_types(manifest: Manifest) -> None:
    whole = [manifest.shard_size, manifest.batch_tokens, manifest.encoder["width"]]
    whole += [
        number for shard in manifest.shards for number in (shard.records, shard.vectors_bytes, shard.records_bytes)
    ]
    if not all(type(number) is int and number > 0 for number in whole):
        raise ValueError("a count is no positive whole number")
    texts = [manifest.encoder["model"], manifest.encoder["files_sha256"], manifest.encoder["dtype"], manifest.metric]
    texts += [digest for shard in manifest.shards for digest in (shard.vectors_sha256, shard.records_sha256)]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a name or checksum is no text")
    if any(shard.records != manifest.shard_size for shard in manifest.shards[:-1]):
        raise ValueError("a shard before the last one is not full")
