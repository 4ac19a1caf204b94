"""Options, the models set up one after another, and what pytest-benchmark's JSON says beside its own."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here may reach for the hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
sys.path.insert(0, str(Path(__file__).parent))

import torch
from side_by_side.budget import Budget
from side_by_side.machine import hardware, load_average, versions
from side_by_side.options import CASES, Options
from side_by_side.results import SCHEMA
from side_by_side.room import Room
from side_by_side.texts import Texts, read_texts
from transformers.utils import logging

from bmretriever_integrations.files import write_whole


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--side-by-side", default="{}", help="options as JSON; benchmarks/run.py writes them")
    parser.addoption("--side-by-side-json", metavar="PATH", help="written anew after each case")


def pytest_configure(config: pytest.Config) -> None:
    options = Options.from_json(config.getoption("--side-by-side"))
    config.stash[OPTIONS] = options
    config.stash[LOAD] = load_average()
    config.stash[BUDGET] = Budget(options.budget)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if options.threads is not None:
        torch.set_num_threads(options.threads)


OPTIONS = pytest.StashKey[Options]()
SOURCE = pytest.StashKey[str]()
BUDGET = pytest.StashKey[Budget]()
MACHINE = pytest.StashKey[dict[str, Any]]()
LOAD = pytest.StashKey[float | None]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "room" in metafunc.fixturenames:  # module scope: all cases of a model run before the next one is loaded
        models = metafunc.config.stash[OPTIONS].chosen_models()
        metafunc.parametrize("room", models, indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    options = config.stash[OPTIONS]
    wanted = [item for item in items if _case(item) not in CASES or _case(item) in options.cases]
    config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
    items[:] = wanted


def _case(item: pytest.Item) -> str:
    """One of the cases, of which each has a test of its name."""
    return item.name.partition("[")[0].removeprefix("test_").replace("_", "-")


@pytest.fixture(scope="session")
def options(pytestconfig: pytest.Config) -> Options:
    """The user's options."""
    return pytestconfig.stash[OPTIONS]


@pytest.fixture(scope="session")
def budget(pytestconfig: pytest.Config) -> Budget:
    """The time that is left."""
    return pytestconfig.stash[BUDGET]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a case, before its model is made, when too little time is left."""
    budget, model = item.config.stash[BUDGET], item.callspec.params["room"]  # type: ignore[attr-defined]
    if not budget.begin(model, _case(item)):
        pytest.skip(f"too little is left of {budget.seconds:.0f} seconds")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Write the JSON after each case: whatever happens to the next one, what was measured stays."""
    yield
    item.config.stash[BUDGET].end()
    path = item.config.getoption("--side-by-side-json")
    if path is not None:
        _save(item.config, Path(path))


def _save(config: pytest.Config, path: Path) -> None:
    """What pytest-benchmark writes once, at the end of a run."""
    session: Any = config._benchmarksession  # type: ignore[attr-defined]
    measured = [benchmark for benchmark in session.benchmarks if "result" in benchmark.extra_info]
    if not measured:
        return
    if MACHINE not in config.stash:  # asking a CPU what it is takes a second
        config.stash[MACHINE] = session.get_machine_info()
    commit_info = config.hook.pytest_benchmark_generate_commit_info(config=config)
    config.hook.pytest_benchmark_update_commit_info(config=config, commit_info=commit_info)
    output = config.hook.pytest_benchmark_generate_json(
        config=config,
        benchmarks=measured,
        include_data=True,
        machine_info=config.stash[MACHINE],
        commit_info=commit_info,
    )
    config.hook.pytest_benchmark_update_json(config=config, benchmarks=measured, output_json=output)
    write_whole(path, json.dumps(output, indent=4).encode())


@pytest.fixture(scope="session")
def texts(options: Options, pytestconfig: pytest.Config) -> Texts:
    """All texts that there are to choose from."""
    found = read_texts(options.data)
    pytestconfig.stash[SOURCE] = found.source
    return found


@pytest.fixture(scope="module")
def room(request: pytest.FixtureRequest, options: Options, texts: Texts, pytestconfig: pytest.Config) -> Iterator[Room]:
    """A model with its contenders, on a disk that is cleared when its cases are done."""
    cache = pytestconfig.cache
    store = None if options.tiny or cache is None else cache.mkdir("packages")
    folder = Path(tempfile.mkdtemp(prefix="bmretriever-benchmark-", dir=options.work))
    made = Room(options, request.param, texts, folder, store)
    yield made
    made.close()


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """A description of the machine in place of its name and everything else that it tells of itself."""
    described = hardware(config.stash[OPTIONS].device, machine_info["cpu"], config.stash[LOAD])
    machine_info.clear()
    machine_info.update(described)


def pytest_benchmark_update_commit_info(config: pytest.Config, commit_info: dict[str, Any]) -> None:
    """The commit that the user names, in place of the checkout's."""
    named = config.stash[OPTIONS].commit
    if named is not None:
        commit_info.clear()
        commit_info["id"] = named


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """What was asked for, on which texts, with which versions."""
    options = config.stash[OPTIONS]
    asked = {**asdict(options), "rounds": options.chosen_rounds(), "dtype": options.chosen_dtype()}
    for name in ("data", "work", "commit"):  # places on a machine; the commit stands in commit_info
        asked.pop(name)
    output_json |= {"schema": SCHEMA, "options": asked, "versions": versions(), "texts": config.stash[SOURCE]}
