"""What was measured -> times of the whole model and rates. What of it may be shown, :mod:`.limits` and :mod:`.ratios` decide."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

SCHEMA = 1
"""Of the benchmark's JSON; goes up when a key changes its meaning."""


@dataclass(frozen=True)
class Outcome:
    """One case of one model. ``raw`` is its ``extra_info`` in the JSON."""

    raw: dict[str, Any]

    @property
    def model(self) -> str:
        """Short name."""
        return str(self.raw["model"])

    @property
    def case(self) -> str:
        """One of the cases."""
        return str(self.raw["case"])

    @property
    def depths(self) -> list[int]:
        """Layers of the slices that were timed."""
        first = next(iter(self.raw["contenders"].values()))
        return sorted(map(int, first["depths"]))

    @property
    def is_estimate(self) -> bool:
        """Whether the whole model's time is calculated from those of two slices."""
        return len(self.depths) > 1

    @property
    def whole(self) -> int:
        """Layers that :meth:`seconds` speaks of: the model's, or the slice's where one slice alone was timed."""
        return int(self.raw["whole_depth"]) if self.is_estimate else self.depths[-1]

    @property
    def rounds(self) -> int:
        """How often all took turns."""
        return len(next(iter(self.raw["contenders"].values()))["depths"][str(self.depths[0])]["seconds"])

    def names(self) -> list[str]:
        """The contenders."""
        return list(self.raw["contenders"])

    def label(self, name: str) -> str:
        """
        What a contender is called in print.

        :param name: short name.
        """
        label = str(self.raw["contenders"][name]["label"])
        return f"{label}, {self.dtype(name)}" if name.endswith("-auto") else label

    def dtype(self, name: str) -> str:
        """
        Number type that a contender computed in.

        :param name: short name.
        """
        return str(self.raw["contenders"][name]["dtype"])

    def right(self, name: str) -> bool:
        """
        Tell whether a contender's vectors were the reference's, at every depth.

        :param name: short name.
        """
        return all(of["equality"]["right"] for of in self.raw["contenders"][name]["depths"].values())

    def cosine(self, name: str) -> float:
        """
        The smallest cosine with the reference.

        :param name: short name.
        """
        return min(float(of["equality"]["cosine"]) for of in self.raw["contenders"][name]["depths"].values())

    def error(self, name: str) -> float:
        """
        The largest relative error against the reference.

        :param name: short name.
        """
        return max(float(of["equality"]["relative_error"]) for of in self.raw["contenders"][name]["depths"].values())

    def seconds(self, name: str, of_round: Callable[[Sequence[float]], float] = median) -> dict[int, float]:
        """
        Seconds of each round for the whole model.

        Layers are alike, so time grows in a straight line with their number; what is done once (word vectors, the last layer's
        saving, pooling) is in both slices alike. Two depths a < b give the whole D: t(b) + (D - b) (t(b) - t(a)) / (b - a).

        :param name: short name.
        :param of_round: makes one number of a round's items; a bulk has one item, one-query several.
        :returns: number of the round -> seconds; a contender may have sat rounds out.
        """
        slices = self.slices(name, of_round)
        return {number: self.of_whole([depth[number] for depth in slices]) for number in slices[-1]}

    def slices(self, name: str, of_round: Callable[[Sequence[float]], float] = median) -> list[dict[int, float]]:
        """
        Seconds of each round for every depth that was timed, the shallowest first.

        :param name: short name.
        :param of_round: as in :meth:`seconds`.
        """
        depths = self.raw["contenders"][name]["depths"]
        return [
            {number: of_round(items) for number, items in enumerate(depths[str(depth)]["seconds"]) if items is not None}
            for depth in self.depths
        ]

    def of_whole(self, values: Sequence[float]) -> float:
        """
        Calculate what grows in a straight line with the layers for as many as :attr:`whole`.

        :param values: one for each depth that was timed.
        """
        if not self.is_estimate:
            return values[-1]
        more = (self.whole - self.depths[-1]) / (self.depths[-1] - self.depths[0])
        return values[-1] + more * (values[-1] - values[0])

    def middle_seconds(self, name: str) -> float:
        """
        Seconds of the middle round.

        :param name: short name.
        """
        return median(self.seconds(name).values())

    def latency(self, name: str, percent: int) -> float:
        """
        Milliseconds of one query, over all rounds.

        :param name: short name.
        :param percent: 50 or 95.
        """

        def percentile(items: Sequence[float]) -> float:
            return quantiles(items, n=20, method="inclusive")[percent // 5 - 1] if len(items) > 1 else items[0]

        return 1000 * median(self.seconds(name, percentile).values())

    def texts_a_second(self, name: str) -> float:
        """
        Texts a second in the middle round, or by the median of single queries.

        :param name: short name.
        """
        return self.texts_of_a_time / self.middle_seconds(name)

    def tokens_a_second(self, name: str) -> float:
        """
        Tokens of the texts a second, padding left out.

        :param name: short name.
        """
        return float(self.raw["real_tokens"]) / float(self.raw["texts"]) * self.texts_a_second(name)

    @property
    def texts_of_a_time(self) -> float:
        """What one time in the JSON is of: the bulk, or a single query."""
        return 1.0 if self.case == "one-query" else float(self.raw["texts"])

    def computed_share(self, name: str) -> float | None:
        """
        Tokens that the network was given, as a share of the texts' own: above 1 by padding, below 1 by work saved.

        :param name: short name.
        """
        computed = self.raw["contenders"][name]["depths"][str(self.depths[-1])]["computed_tokens"]
        return None if computed is None else float(computed) / float(self.raw["real_tokens"])

    def device_bytes(self, name: str) -> int | None:
        """
        The most memory beyond the weights that the GPU gave for the case; None on a CPU.

        :param name: short name.
        """
        found = self.raw["contenders"][name]["depths"][str(self.depths[-1])]["peak_device_bytes"]
        return None if found is None else int(found)


def read_results(path: Path) -> tuple[dict[str, Any], list[Outcome]]:
    """
    Read the benchmark's JSON.

    :param path: written by ``benchmarks/run.py``.
    :returns: the whole content, and one outcome for each case.
    :raises ValueError: if it is another kind of JSON, or of another schema.
    """
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if content.get("schema") != SCHEMA:
        raise ValueError(
            f"{path} is no result of this benchmark's schema {SCHEMA} but of {content.get('schema')!r}; run it again"
        )
    return content, [Outcome(entry["extra_info"]["result"]) for entry in content["benchmarks"]]
