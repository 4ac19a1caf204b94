"""Find a checkpoint in the hub's cache or download it, with one clear error where that fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from bmretriever_integrations.checkpoints.catalogue import CHECKPOINTS

WANTED_FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]
"""Patterns of the files that are downloaded from the hub."""
UNWANTED_FILES = ["onnx/*", "openvino/*", "*.onnx", "trainer/*"]
"""Patterns of files that are not downloaded even where the first patterns match."""


@dataclass(frozen=True)
class Hub:
    """The options for requests to the hub."""

    token: str | None
    local_files_only: bool


def check_hub_id(model: str) -> None:
    """
    Refuse a name that cannot be a hub id, and suggest the one that was perhaps meant.

    :param model: the value that the user gave for ``model``, which is no folder and no short name.
    :raises FileNotFoundError: if it is not of the form owner/name.
    """
    names = [checkpoint.name for checkpoint in CHECKPOINTS]
    whole = model.count("/") == 1 and not model.startswith((".", "/", "~")) and not model.endswith("/")
    if whole:
        return
    listed = ", ".join(map(repr, names))
    raise FileNotFoundError(f"model {model!r} is no folder, no hub id (owner/name) and none of {listed}{_meant(model)}")


def _meant(model: str) -> str:
    """Suggest a known checkpoint whose name is like the given one."""
    spellings = {checkpoint.name.casefold(): checkpoint.name for checkpoint in CHECKPOINTS}
    for checkpoint in CHECKPOINTS:
        if checkpoint.hub_id:
            spellings |= dict.fromkeys(
                (checkpoint.hub_id.casefold(), checkpoint.hub_id.split("/")[1].casefold()), checkpoint.hub_id
            )
    near = get_close_matches(model.casefold(), spellings, n=1, cutoff=0.6)
    return f"; did you mean {spellings[near[0]]!r}?" if near else ""


def snapshot_of(folder: Path) -> Path:
    """
    Find the snapshot in a repository's folder of the hub's cache, ``models--owner--name``.

    :param folder: any folder.
    :returns: the snapshot to which ``refs/main`` points, or the only one; ``folder`` itself if it is no such folder.
    :raises ValueError: if it holds several snapshots and none of them is named.
    """
    snapshots = folder / "snapshots"
    if not snapshots.is_dir() or (folder / "config.json").exists():
        return folder
    commits = sorted(path.name for path in snapshots.iterdir())
    main = folder / "refs" / "main"
    chosen = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
    if chosen not in commits:
        if len(commits) != 1:
            raise ValueError(
                f"{folder} is a repository in the hub's cache with {len(commits)} snapshots; name one of its folders snapshots/"
                f"{{{','.join(commits)}}}"
            )
        chosen = commits[0]
    return snapshots / chosen


def download(hub_id: str, revision: str | None, hub: Hub) -> Path:
    """
    Download a checkpoint, or find it in the cache.

    :param hub_id: the repository, owner/name.
    :param revision: commit, branch or tag; None takes the newest.
    :param hub: the options of the requests.
    :returns: the folder of the snapshot, whose name is its commit.
    :raises FileNotFoundError: if it is not in the cache and cannot be fetched, for whatever reason.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        with _one_retry_notice():
            return Path(
                snapshot_download(
                    hub_id,
                    revision=revision,
                    token=hub.token,
                    local_files_only=hub.local_files_only,
                    allow_patterns=WANTED_FILES,
                    ignore_patterns=UNWANTED_FILES,
                )
            )
    except Exception as error:
        if not isinstance(error, LocalEntryNotFoundError | HfHubHTTPError | OSError) and not _is_http(error):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FileNotFoundError(
            f"model {hub_id!r} (revision {revision or 'newest'}) is not in the local cache and could not be fetched: "
            f"{reason} Check the name and the connection, pass the folder of a copy, or use model='mini', which needs no "
            f"download{_meant(hub_id) if not _is_known(hub_id) else ''}{_other_commits(hub_id, revision)}."
        ) from error


def _is_http(error: Exception) -> bool:
    """Tell whether an error comes from the hub client's HTTP library, which is httpx or requests, depending on its release."""
    return any(
        kind.__module__.split(".")[0] in ("httpx", "httpx2", "httpcore", "requests") for kind in type(error).__mro__
    )


def _is_known(hub_id: str) -> bool:
    return any(hub_id.casefold() == (checkpoint.hub_id or "").casefold() for checkpoint in CHECKPOINTS)


def _other_commits(hub_id: str, revision: str | None) -> str:
    """Name the commits of the repository that are in the cache."""
    from huggingface_hub import constants

    snapshots = Path(constants.HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}" / "snapshots"
    commits = sorted(path.name for path in snapshots.iterdir()) if snapshots.is_dir() else []
    commits = [commit for commit in commits if commit != revision]
    return f". The cache holds other commits of it, which revision= takes: {', '.join(commits)}" if commits else ""


@contextmanager
def _one_retry_notice() -> Iterator[None]:
    """Let the hub's client say once that it tries again, and not before and after every attempt."""
    said: list[bool] = []

    def first(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if "[Retry " not in message:
            return "thrown while requesting" not in message  # the error at the end tells the same
        said.append(True)
        return len(said) == 1

    logger = logging.getLogger("huggingface_hub.utils._http")
    logger.addFilter(first)
    try:
        yield
    finally:
        logger.removeFilter(first)
