"""The hub's cache and connection: what is suggested, found and said once."""

from __future__ import annotations

import logging
import shutil

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints import RELEASED


@pytest.fixture
def repository(tiny, tmp_path, monkeypatch):
    """The 410M's folder in a hub cache that holds two commits, neither of them the pinned one."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / f"models--{RELEASED[0].hub_id.replace('/', '--')}"
    for commit in ("a" * 40, "b" * 40):
        shutil.copytree(tiny("gpt_neox"), folder / "snapshots" / commit)
    (folder / "refs").mkdir()
    return folder


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("410", "410M"),
        ("410MB", "410M"),
        ("minni", "mini"),
        ("bmretriever-410m", "BMRetriever/BMRetriever-410M"),
        ("BMRetriever/BMRetriver-7B", "BMRetriever/BMRetriever-7B"),
    ],
)
def test_a_name_that_is_nearly_right(name, meant, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=f"did you mean '{meant}'"):
        BMRetrieverEncoder(name, local_files_only=True)


def test_a_name_that_is_like_no_other(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        BMRetrieverEncoder(str(tmp_path / "nothing"))
    assert "did you mean" not in str(caught.value)


def test_other_commits_in_the_cache_are_named(repository):
    with pytest.raises(FileNotFoundError, match=rf"other commits of it, which revision= takes: {'a' * 40}, {'b' * 40}"):
        BMRetrieverEncoder("410M", local_files_only=True)
    assert BMRetrieverEncoder("410M", revision="b" * 40, local_files_only=True).revision == "b" * 40


def test_the_repository_s_folder_in_the_cache(repository):
    with pytest.raises(ValueError, match="is a repository in the hub's cache with 2 snapshots; name one"):
        BMRetrieverEncoder(repository)
    (repository / "refs" / "main").write_text("b" * 40)
    assert BMRetrieverEncoder(repository).width == 64
    shutil.rmtree(repository / "snapshots" / ("b" * 40))
    assert BMRetrieverEncoder(repository).width == 64


def test_a_partial_cache(repository):
    (repository / "snapshots" / ("a" * 40) / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="the download or copy is incomplete"):
        BMRetrieverEncoder("410M", revision="a" * 40, local_files_only=True)


def test_a_lost_connection(tmp_path, monkeypatch, caplog):
    """The hub's client raises its HTTP library's errors as they are once a file is being fetched."""
    httpx = pytest.importorskip("httpx")
    client = logging.getLogger("huggingface_hub.utils._http")
    monkeypatch.setattr(client, "propagate", True)
    monkeypatch.setattr(logging.getLogger("huggingface_hub"), "propagate", True)

    def lost(*_args, local_files_only, **_kwargs):
        if local_files_only:
            raise LocalEntryNotFoundError("not cached")
        for attempt in range(1, 7):
            client.warning("'peer closed' thrown while requesting GET https://hub/model.safetensors")
            client.warning(f"Retrying in 1s [Retry {attempt}/6].")
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")

    monkeypatch.setattr("huggingface_hub.snapshot_download", lost)
    with pytest.raises(
        FileNotFoundError, match=r"could not be fetched: peer closed connection .* pass the folder of a copy"
    ) as caught:
        BMRetrieverEncoder("410M")
    assert "\n" not in str(caught.value)
    assert [record.getMessage() for record in caplog.records] == ["Retrying in 1s [Retry 1/6]."]
