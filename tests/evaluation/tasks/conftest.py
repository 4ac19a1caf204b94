"""Clones of data sets of the hub, made up."""

from __future__ import annotations

import json

import datasets
import pytest


@pytest.fixture(autouse=True)
def own_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("BMRETRIEVER_TASKS", str(tmp_path / "tasks"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


@pytest.fixture
def clone(tmp_path):
    """A function: name, (configuration, split) -> rows -> a folder laid out as a clone of a hub data set."""

    def make(name, parts, parquet=False):
        folder = tmp_path / name
        folder.mkdir()
        splits = {}
        for (config, split), rows in parts.items():
            form = "parquet" if parquet or config == "relish" else "jsonl"
            file = f"{config}-{split}.{form}"
            if form == "parquet":
                datasets.Dataset.from_list(rows).to_parquet(folder / file)
            else:
                (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
            splits.setdefault(config, []).append(f"  - split: {split}\n    path: {file}")
        lines = ["---", "configs:"]
        for config, files in splits.items():
            lines += [f"- config_name: {config}", "  data_files:", *files]
        (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
        return str(folder)

    return make
