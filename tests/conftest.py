"""Tiny real checkpoints for every test: random weights, two layers, made offline once a session."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")

import pytest
import torch
from transformers.utils import logging as transformers_logging

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is imported, by whomever

from bmretriever_integrations.testing import Architecture, write_tiny_checkpoint


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the slow ones start first: while one process runs them, the others do the rest."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def default_number_type() -> Iterator[None]:
    """Two loads at once, of whoever's, can leave another default number type: later tests would compute in it."""
    yield
    if (left := torch.get_default_dtype()) != torch.float32:
        torch.set_default_dtype(torch.float32)
        warnings.warn(f"the test left PyTorch's default number type at {left}", stacklevel=1)


@pytest.fixture(autouse=True)
def transformers_is_heard() -> None:
    """Commands silence it for their whole process, which here is that of all tests."""
    transformers_logging.enable_progress_bar()
    transformers_logging.set_verbosity_warning()


class WatchedForward:
    """Stands in for an engine's way to run its network: ``around(run, lengths)`` is called for each batch and calls ``run()``."""

    def __init__(self, forward: Any, around: Callable[[Callable[[], Any], list[int]], Any]) -> None:
        self.network, self.name, self.pads, self.reuses_prefix = (
            forward.network,
            forward.name,
            forward.pads,
            forward.reuses_prefix,
        )
        self._forward, self._around = forward, around

    def __call__(self, rows: list[list[int]], shared: int = 0) -> Any:
        return self._around(lambda: self._forward(rows, shared), [len(row) - shared for row in rows])


@pytest.fixture
def watch() -> Callable[..., None]:
    """A function: engine, ``around`` -> every batch of the engine goes through ``around``."""

    def replace(engine: Any, around: Callable[[Callable[[], Any], list[int]], Any]) -> None:
        engine._runner.forward = WatchedForward(engine._runner.forward, around)

    return replace


@dataclass(frozen=True)
class Backbone:
    """A tiny random checkpoint of a true class, with the real tokenizer of its backbone."""

    folder: Path
    hello_world: list[int]
    """Ids of "Hello world" with EOS, as the backbone's authors have them."""

    @property
    def eos(self) -> int:
        return self.hello_world[-1]


HELLO_WORLD = {"gpt_neox": [12092, 1533, 0], "mistral": [1, 22557, 1526, 2], "gemma": [2, 4521, 2134, 1]}


@pytest.fixture(scope="session", params=HELLO_WORLD)
def real(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Backbone:
    """The real Pythia, Mistral and Gemma tokenizers, taken out of packages that registries carry; none is kept here."""
    sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # which use them, too
    try:
        from side_by_side.real_tokenizers import write_tokenizer
    finally:
        sys.path.pop()
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("real"), request.param)
    source = write_tokenizer(folder, request.param, pytestconfig.cache.mkdir("packages"))
    if source.startswith("mini"):
        pytest.skip("the registry is out of reach")
    _widen(folder)
    return Backbone(folder, HELLO_WORLD[request.param])


def _widen(folder: Path) -> None:
    """Give the tiny checkpoint an embedding for every id of the real vocabulary."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer

    config = json.loads((folder / "config.json").read_text())
    rows = max(len(AutoTokenizer.from_pretrained(folder)), config["vocab_size"])
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.startswith("embed"))
    tensors[name] = torch.randn(rows, 64, generator=torch.Generator().manual_seed(0)) * 0.1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": rows}))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Architecture], Path]:
    """A function: architecture -> folder of its tiny checkpoint."""
    made: dict[str, Path] = {}

    def folder(architecture: Architecture) -> Path:
        if architecture not in made:
            made[architecture] = write_tiny_checkpoint(tmp_path_factory.mktemp(architecture), architecture)
        return made[architecture]

    return folder
