"""Sections of full texts are cut for the model of the index: no passage is longer than it reads, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.index import build_index
from bmretriever_integrations.index.ingest.engines import OneEngine
from bmretriever_integrations.index.ingest.splitting import SplitterOnDemand

SENTENCES = [
    f"In arm {number} the dose of zinc was {number * 7} mg a day for {number + 2} weeks." for number in range(60)
]


def write(path: Path) -> Path:
    body = f"<sec><title>Arms</title><p>{' '.join(SENTENCES)}</p></sec><sec><title>End</title><p>Short.</p></sec>"
    meta = '<article-id pub-id-type="pmcid">PMC1</article-id><title-group><article-title>Zinc</article-title></title-group>'
    path.write_text(f"<article><front><article-meta>{meta}</article-meta></front><body>{body}</body></article>")
    return path


def test_no_passage_of_an_index_is_cut_by_its_model(tmp_path: Path, encoder: BMRetrieverEncoder, rows_in) -> None:
    report = build_index(encoder, [write(tmp_path / "a.nxml")], tmp_path / "i")
    rows = rows_in(tmp_path / "i")
    assert (report.cut, report.embedded) == (0, len(rows))
    arms = [rows[f"PMC1#arms/{number}"][0].text for number in range(1, len(rows))]
    assert len(arms) > 1
    assert all(text.startswith("Arms: In arm ") and text.endswith(" weeks.") for text in arms)
    assert " ".join(text.removeprefix("Arms: ") for text in arms) == " ".join(SENTENCES)
    assert rows["PMC1#end/1"][0].text == "End: Short."


def test_engines_that_do_not_count_tokens_get_the_same_cuts(encoder: BMRetrieverEncoder, portion_engines) -> None:
    text, identity = " ".join(SENTENCES), encoder.identity()
    passages = SplitterOnDemand(OneEngine(encoder), identity).split(text, "Zinc")
    assert len(passages) > 1
    assert SplitterOnDemand(portion_engines(), identity).split(text, "Zinc") == passages
    longer = {**identity, "max_length": 2 * identity["max_length"]}
    assert len(SplitterOnDemand(portion_engines(), longer).split(text, "Zinc")) < len(passages)
