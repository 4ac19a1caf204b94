"""Labels: facts of a record that come from lists of words, such as MeSH, in small letters; filters find them in any case."""

from __future__ import annotations

from collections.abc import Iterable

from bmretriever_integrations.corpus.metadata import Metadata

LABELLED = ("journal", "publication_types", "mesh", "mesh_major", "languages")
"""Facts with labels. Authors and keywords have none, since an index of so many different words takes long to load."""
_LANGUAGES = """
ara ar arabic, chi zh zho chinese, cze cs ces czech, dan da danish, dut nl nld dutch, eng en english, fin fi finnish,
fre fr fra french, ger de deu german, heb he hebrew, hun hu hungarian, ita it italian, jpn ja japanese, kor ko korean,
nor no norwegian, per fa fas persian, pol pl polish, por pt portuguese, rus ru russian, spa es spanish, swe sv swedish,
tur tr turkish, ukr uk ukrainian
"""
LANGUAGES = {other: code for code, *others in map(str.split, _LANGUAGES.split(",")) for other in others}
"""Maps other codes and the English names of languages to MARC's codes, which PubMed uses."""


def label(fact: str, value: str) -> str:
    """
    Return the label of a value: equal for two values that differ in case and white space only.

    :param fact: one of :data:`LABELLED`.
    :param value: what the record, or the question, says.
    """
    folded = " ".join(value.split()).casefold()
    return f"{fact}:{LANGUAGES.get(folded, folded) if fact == 'languages' else folded}"


def labels_of(metadata: Metadata) -> list[str]:
    """
    Return all labels of a record.

    :param metadata: what its source says of it.
    """
    return sorted({label(fact, value) for fact in LABELLED for value in _values(getattr(metadata, fact))})


def _values(fact: str | Iterable[str] | None) -> Iterable[str]:
    return (fact,) if isinstance(fact, str) else fact or ()
