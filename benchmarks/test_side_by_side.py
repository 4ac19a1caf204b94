"""The cases. ``python benchmarks/run.py`` runs them and prints what came out."""

from __future__ import annotations

from typing import Any

import pytest
from side_by_side.budget import Budget
from side_by_side.measure import measure
from side_by_side.memory import measure_memory
from side_by_side.room import Room


def test_passages(room: Room, benchmark: Any, budget: Budget) -> None:
    benchmark.extra_info["result"] = measure(room, "passages", benchmark, budget)


def test_queries(room: Room, benchmark: Any, budget: Budget) -> None:
    benchmark.extra_info["result"] = measure(room, "queries", benchmark, budget)


def test_one_query(room: Room, benchmark: Any, budget: Budget) -> None:
    benchmark.extra_info["result"] = measure(room, "one-query", benchmark, budget)


def test_memory(room: Room, benchmark: Any) -> None:
    if room.plan.memory is None:
        pytest.skip("memory is measured with the first model; --memory asks for others")
    benchmark.extra_info["result"] = measure_memory(room, room.plan.memory, benchmark)
