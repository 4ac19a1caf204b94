"""Markup becomes plain text: words stay apart, numbers stay what they are, and what typesetting left behind goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from bmretriever_integrations.corpus import Record, read_corpus
from bmretriever_integrations.corpus.markup import clean, plain_text


def plain(markup: str) -> str:
    return plain_text(etree.fromstring(f'<t xmlns:m="http://www.w3.org/1998/Math/MathML">{markup}</t>'))


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("at the<i>ABC1</i>gene", "at the ABC1 gene"),
        ("an<i>in vivo</i>implantable device", "an in vivo implantable device"),
        ("<i>in vivo</i>and later", "in vivo and later"),
        ("of<i>\u03bc</i>MS", "of \u03bcMS"),
        ("the<b><i>ABC1</i></b>gene", "the ABC1 gene"),
        ("<b>ABSTRACT</b>Background", "ABSTRACT Background"),
        ("all <u>three</u>of them", "all three of them"),
        ("the <i>ABC1</i> gene", "the ABC1 gene"),
    ],
)
def test_whole_words_at_the_edges_of_inline_tags_stay_apart(markup: str, text: str) -> None:
    assert plain(markup) == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<i>bla</i>TEM and <i>str</i>A", "blaTEM and strA"),
        ("SCC<i>mec</i>, \u0394<i>srfA</i>, <i>At</i>EDS1", "SCCmec, \u0394srfA, AtEDS1"),
        ("<i>OBP</i>s, <i>aureu</i>s", "OBPs, aureus"),
        ("1<i>H</i>-indole, <i>t</i>Bu, tri<i>tert</i>-butyl", "1H-indole, tBu, tritert-butyl"),
        ("<b>A</b>natomical <b>COM</b>parative <b>f</b>or<b>d</b>er", "Anatomical COMparative forder"),
        ("<i>\u03bc</i>mol, <i>N</i>-acetyl", "\u03bcmol, N-acetyl"),
        ("sulfate<sub>ion</sub>and the<sup>beta</sup>form", "sulfateionand thebetaform"),
    ],
)
def test_parts_of_one_word_stay_together(markup: str, text: str) -> None:
    assert plain(markup) == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("10<sup>6</sup> cells", "10^6 cells"),
        ("3 \u00d7 10<sup>\u22127</sup> M, 10<sup>-3</sup>", "3 \u00d7 10^\u22127 M, 10^-3"),
        ("<i><b>10</b></i><sup>5</sup>", "10^5"),
        ("2<sup>-\u0394\u0394Ct</sup>", "2^-\u0394\u0394Ct"),
        ("SO<sub>4</sub><sup>2-</sup>", "SO4^2-"),
        ("R<sup>2</sup><sub>365</sub>", "R2_365"),
        ("log<sub>2</sub>2.5", "log2 2.5"),
        ("24<sup>0/7</sup> and 24<sup>6</sup>/<sub>7</sub> weeks", "24 0/7 and 24 6/7 weeks"),
        ("30<sup>+6</sup> weeks, the 2<sup>nd</sup>", "30+6 weeks, the 2nd"),
        ("H<sub>2</sub>O, Ca<sup>2+</sup>, kg/m<sup>2</sup>, CD4<sup>+</sup>", "H2O, Ca2+, kg/m2, CD4+"),
        ("10&lt;sup&gt;6&lt;/sup&gt;", "10^6"),
        ("<m:math><m:mfrac><m:mn>1</m:mn><m:mn>2</m:mn></m:mfrac></m:math> of doses", "1/2 of doses"),
        (
            "<m:math><m:mfrac><m:mrow><m:mi>a</m:mi><m:mo>+</m:mo><m:mn>1</m:mn></m:mrow><m:mi>b</m:mi></m:mfrac></m:math>",
            "(a+1)/b",
        ),
        (
            "<m:math><m:msup><m:mn>10</m:mn> <m:mrow><m:mo>-</m:mo> <m:mn>4</m:mn></m:mrow></m:msup></m:math> M",
            "10^-4 M",
        ),
        ("<m:math><m:msubsup><m:mi>x</m:mi><m:mn>1</m:mn><m:mn>2</m:mn></m:msubsup></m:math>", "x1^2"),
        ("<m:math><m:msub><m:mi>T</m:mi><m:mn>2</m:mn></m:msub><m:mo>=</m:mo><m:mn>3</m:mn></m:math>", "T2=3"),
        ("<m:math><m:msqrt><m:mn>3</m:mn></m:msqrt></m:math>", "\u221a3"),
        ("<m:math><m:mn>1</m:mn><m:mn>2</m:mn></m:math>", "1 2"),
    ],
)
def test_numbers_are_not_glued_to_other_numbers(markup: str, text: str) -> None:
    assert plain(markup) == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("P&amp;lt;0.05 and &amp;gt;40", "P<0.05 and >40"),
        ("&amp;#945;-cells, &amp;#x3B1;, a&amp;nbsp;b", "\u03b1-cells, \u03b1, a b"),
        ('One.&lt;o:p&gt;&lt;/o:p&gt;&lt;/p&gt;&lt;p class="x"&gt;Two.', "One. Two."),
        ("the&lt;i&gt;ABC1&lt;/i&gt;gene", "the ABC1 gene"),
        ("line&amp;lt;br/&amp;gt;break", "line break"),
        ("bio\u00adpsy of 10 \u200b\u03bcm, \ufeffVideos", "biopsy of 10 \u03bcm, Videos"),
        (
            "R&amp;D, AT&amp;T; a &lt;b and c&gt; d, &lt;\u03b8&gt;, p&lt;0.05",
            "R&D, AT&T; a <b and c> d, <\u03b8>, p<0.05",
        ),
        ("&amp;nothing; &amp;amp;lt; once", "&nothing; &lt; once"),
    ],
)
def test_what_was_escaped_twice_and_what_cannot_be_seen(markup: str, text: str) -> None:
    assert plain(markup) == text


def test_no_element_is_no_text_and_attributes_are_repaired_too() -> None:
    assert plain_text(None) == ""
    assert clean(" RESULTS &amp; \u200bMETHODS ") == "RESULTS & METHODS"


def test_json_lines_are_not_touched(tmp_path: Path) -> None:
    """What stands in JSON was not escaped, so it may be meant."""
    source = tmp_path / "a.jsonl"
    text = "P&lt;0.05 <p>bio\u00adpsy</p>"
    source.write_text(f'{{"_id": "1", "text": "{text}"}}', encoding="utf-8")
    assert list(read_corpus([source])) == [Record("1", "", text)]
