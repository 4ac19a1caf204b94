"""The chart: both formats, every number on it, the same bytes again."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bmretriever_integrations.evaluation.reports.chart import COLOURS, GREY, draw_chart
from bmretriever_integrations.evaluation.systems.comparison import Result
from bmretriever_integrations.evaluation.tasks.retrieval import DEFAULT_MEASURES as MEASURES
from bmretriever_integrations.evaluation.tasks.retrieval import load_task


@pytest.fixture
def tasks(write_task):
    return [load_task(write_task(name, {"d": "text"}, {"q": "text"}, [("q", "d", 1)])) for name in ("one", "two")]


def results(values, **settings):
    return [
        Result(
            task=task,
            system=system,
            means=dict.fromkeys(MEASURES, value),
            seconds=1,
            passages_per_second=1,
            settings=settings if system == "mini" else {},
            per_query={},
            cut_texts=0,
            date="2026-01-31T12:00:00+00:00",
            key="",
        )
        for (system, task), value in values.items()
    ]


VALUES = {("BM25", "one"): 0.125, ("BM25", "two"): 1.0, ("mini", "one"): 0.0, ("mini", "two"): 0.776}


def test_svg_names_tasks_systems_values_and_means(tmp_path, tasks):
    path = tmp_path / "chart.svg"
    draw_chart(path, tasks, results(VALUES))
    drawing = path.read_text()
    for text in (
        "nDCG@10",
        "one",
        "two",
        "BM25",
        "mini",
        "0.125",
        "1.000",
        "0.000",
        "0.776",
        "Mean of 2 tasks",
        "0.388",
    ):
        assert f">{text}" in drawing
    assert GREY in drawing
    assert COLOURS[0].lower() in drawing
    again = tmp_path / "again.svg"
    draw_chart(again, tasks, results(VALUES))
    assert again.read_bytes() == path.read_bytes()


def test_the_chart_names_what_was_scored(tmp_path, tasks):
    engine = {"max_length": 64, "dtype": "float32", "files_sha256": "0123456789abcdef", "revision": None}
    draw_chart(tmp_path / "c.svg", tasks, results(VALUES, vectors="int8", rescored=0, truncate_dim=144, **engine))
    drawing = (tmp_path / "c.svg").read_text()
    for text in (
        "mini (precision=int8, truncate-dim=144, max-length=64)",
        "mini: fingerprint 0123456789ab",
        f"one: version {tasks[0].sha256[:12]}, split test",
        "measured 2026-01-31 (UTC) by bmretriever-integrations",
    ):
        assert f">{text}" in drawing


def test_png_grows_with_the_number_of_bars(tmp_path, tasks):
    def height(path: Path) -> int:
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG\r\n")
        return struct.unpack(">I", data[20:24])[0]

    small, large = tmp_path / "small.png", tmp_path / "large.PNG"
    draw_chart(small, tasks[:1], results({("BM25", "one"): 0.5}))
    draw_chart(large, tasks, results(VALUES))
    assert height(large) > height(small)


def test_another_format_is_refused(tmp_path, tasks):
    with pytest.raises(ValueError, match=r"must end in \.png or \.svg, got 'chart\.pdf'"):
        draw_chart(tmp_path / "chart.pdf", tasks, results(VALUES))


def test_a_correlation_below_zero_is_drawn_whole(tmp_path, tasks, monkeypatch):
    drawn, save = [], Figure.savefig

    def kept(self, *given, **named):
        drawn.append(self)
        save(self, *given, **named)

    monkeypatch.setattr(Figure, "savefig", kept)
    draw_chart(tmp_path / "below.svg", tasks[:1], results({("mini", "one"): -0.35, ("BM25", "one"): 0.5}))
    draw_chart(tmp_path / "above.svg", tasks[:1], results({("mini", "one"): 0.35}))
    (below,), (above,) = (figure.axes for figure in drawn)
    assert below.get_xlim()[0] < -0.4
    assert below.get_xticks()[0] == -0.4
    assert above.get_xlim()[0] == 0
