"""What to run: the user's options, and the sizes that fit each model on each kind of device."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from bmretriever_integrations.device import cpu_has_bfloat16, resolve_device

CASES = ("passages", "queries", "one-query", "memory")
CASE_NAMES = {"passages": "passages in bulk", "queries": "queries in bulk", "one-query": "one query"}
MAIN = ("ours", "st-best", "st-default")
ON_A_CPU = (*MAIN, "ours-int8")
EVERYBODY = (*MAIN, "haystack", "llama-index", "authors")
CONTENDERS = (*EVERYBODY, "ours-int8")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The sizes of one model's cases."""

    layers: tuple[int, ...]
    """Depths of the slices; 0 is the whole model. From two depths the whole model's time follows, see :mod:`.results`. The engine
    has a way of its own for one layer alone, which says nothing of more layers, so 2 is the least."""
    passages: int
    queries: int
    latency: int
    """Queries of one round of the case one-query."""
    memory: tuple[int, int] | None
    """Passages of the case memory, at two sizes; None leaves it out."""
    contenders: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.layers or min(self.layers) < 0 or 1 in self.layers:
            raise ValueError(f"layers must be 0 (all) or at least 2, got {self.layers}")


# Two CPU cores do 50 to 150 GFLOP/s in float32, and a passage costs 0.2 TFLOP at 410M, 0.5 at 1B: a quarter of an hour in all.
# The farther two depths lie apart, the less their noise counts in the whole: 410M's 24 layers have 2.0 times the relative noise
# of a single time if they follow from 2 and 4 layers, 1.4 times from 2 and 6; 1B's 16 have 1.9 and 1.35 times.
CPU_PLANS = {
    "410M": Plan(layers=(2, 6), passages=12, queries=64, latency=12, memory=(4000, 20000), contenders=CONTENDERS),
    "1B": Plan(layers=(2, 6), passages=6, queries=32, latency=6, memory=None, contenders=ON_A_CPU),
    "2B": Plan(layers=(2, 3), passages=4, queries=16, latency=6, memory=None, contenders=ON_A_CPU),
    "7B": Plan(layers=(2, 3), passages=4, queries=16, latency=6, memory=None, contenders=ON_A_CPU),
}
# The most important first: where time is short, the last ones are left out. An H100 does some 700 TFLOP/s in bfloat16.
CUDA_PLANS = {
    "410M": Plan(layers=(0,), passages=1024, queries=4096, latency=50, memory=(2048, 8192), contenders=EVERYBODY),
    "2B": Plan(layers=(0,), passages=512, queries=2048, latency=50, memory=None, contenders=MAIN[:2]),
    "7B": Plan(layers=(0,), passages=256, queries=1024, latency=50, memory=None, contenders=MAIN[:2]),
    "1B": Plan(layers=(0,), passages=1024, queries=4096, latency=50, memory=None, contenders=MAIN[:2]),
}
TINY_PLAN = Plan(layers=(2, 3), passages=6, queries=6, latency=2, memory=(20, 60), contenders=CONTENDERS)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user may ask for; None leaves it to the plan of the model and the device."""

    models: tuple[str, ...] | None = None
    cases: tuple[str, ...] = CASES
    contenders: tuple[str, ...] | None = None
    device: str = "cpu"
    dtype: str | None = None
    """Of ours and of sentence-transformers at its best; the others run in the dtype that they choose themselves."""
    layers: tuple[int, ...] | None = None
    passages: int | None = None
    queries: int | None = None
    latency: int | None = None
    memory: tuple[int, int] | None = None
    rounds: int | None = None
    batch_sizes: tuple[int, ...] | None = None
    """That sentence-transformers at its best may try."""
    threads: int | None = None
    data: str | None = None
    work: str | None = None
    tiny: bool = False
    seed: int = 0
    budget: float | None = None
    """Seconds for everything; what does not fit is left out. None: as long as it takes."""
    time_limit: float | None = None
    """Seconds that the rounds of one case take at most; the least number of rounds is always run."""
    commit: str | None = None
    """Of the code, where it lies in no git checkout."""

    def __post_init__(self) -> None:
        for name in ("passages", "queries", "latency", "rounds", "threads", "budget", "time_limit"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.on_cuda and self.rounds == 1:
            raise ValueError("rounds must be at least 2 on CUDA: the slow contenders sit the first one out")

    def check(self) -> None:
        """
        Refuse what cannot run, before anything is loaded.

        :raises FileNotFoundError: if a folder is missing.
        :raises ValueError: if the device is not there, or a model's plan does not fit together.
        """
        resolve_device(self.device)
        for model in self.chosen_models():
            self.plan(model)
        for name in ("data", "work"):
            folder = getattr(self, name)
            if folder is not None and not Path(folder).is_dir():
                raise FileNotFoundError(f"{name}: {folder} is no folder")

    def chosen_models(self) -> tuple[str, ...]:
        """The models asked for, or those that suit the device: slices of two on a CPU, all four on a GPU."""
        return self.models or (tuple(CUDA_PLANS) if self.on_cuda else ("410M", "1B"))

    @property
    def on_cuda(self) -> bool:
        """Whether the device is a CUDA one."""
        return self.device.startswith("cuda")

    def chosen_rounds(self) -> int:
        """The rounds asked for, or the least number: three on a CPU, where they are long, and five on a GPU."""
        return self.rounds or (5 if self.on_cuda else 3)

    def chosen_time_limit(self) -> float:
        """Seconds of one case's rounds: those asked for, or two minutes on a CPU and 20 seconds on a GPU."""
        return self.time_limit or (20.0 if self.on_cuda else 120.0)

    def chosen_batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes asked for, or those among which a device of this kind has its best."""
        return self.batch_sizes or (
            (8, 16, 32, 64, 128, 256, 512, 1024, 2048) if self.on_cuda else (1, 4, 8, 16, 32, 64, 128)
        )

    def chosen_dtype(self) -> str:
        """The dtype asked for, or bfloat16 on a GPU and float32 on a CPU, which every contender can do well."""
        return self.dtype or ("bfloat16" if self.on_cuda else "float32")

    def second_dtype(self) -> str | None:
        """What ``dtype="auto"`` takes on this device, where it is another: bfloat16 on CPUs that compute with it."""
        differs = not self.on_cuda and cpu_has_bfloat16() and self.chosen_dtype() == "float32"
        return "bfloat16" if differs else None

    def plan(self, model: str) -> Plan:
        """
        The sizes of one model's cases, with what the user asked for put in.

        :param model: "410M", "1B", "2B" or "7B".
        """
        plan = TINY_PLAN if self.tiny else (CUDA_PLANS if self.on_cuda else CPU_PLANS)[model]
        asked = {field.name: getattr(self, field.name) for field in fields(Plan)}
        return replace(plan, **{name: value for name, value in asked.items() if value is not None})

    def to_json(self) -> str:
        """One line that :meth:`from_json` reads; pytest carries it to the tests."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Options:
        """
        Read what :meth:`to_json` wrote.

        :param line: a JSON object; lists become tuples.
        """
        given = json.loads(line)
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})
