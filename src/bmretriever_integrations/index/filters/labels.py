"""
Labels: what filters look up in one index.

Facts that come from lists of words, such as MeSH, have a label in small letters, so that they are found in any case. Values of
the further keys of JSON lines have a short label that they share with few others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

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


def key_label(path: Sequence[str], value: str | float) -> str:
    """
    Return the label of a value of a key: equal for equal values. There are 65,536 labels, so that their index stays small however
    many values there are; who finds one has to look at the value.

    :param path: the key, and the keys of the objects inside it.
    :param value: a text, number or bool. As in Python, 1, 1.0 and True are equal.
    """
    plain = value if isinstance(value, str) else float(value) + 0.0  # -0.0 becomes 0.0
    return f"other:{blake2b(json.dumps([path, plain]).encode(), digest_size=2).hexdigest()}"


def labels_of(metadata: Metadata) -> list[str]:
    """
    Return all labels of a record.

    :param metadata: what its source says of it.
    """
    named = {label(fact, value) for fact in LABELLED for value in _values(getattr(metadata, fact))}
    return sorted(named | {key_label(path, value) for path, value in _scalars(metadata.other)})


def _values(fact: str | Iterable[str] | None) -> Iterable[str]:
    return (fact,) if isinstance(fact, str) else fact or ()


def _scalars(other: Mapping[str, Any]) -> Iterator[tuple[list[str], str | float]]:
    """Yield what a filter can ask for: the values of keys, of keys of objects inside, and the entries of lists."""
    objects: list[tuple[list[str], Mapping[str, Any]]] = [([], other)]
    while objects:
        above, content = objects.pop()
        for key, value in content.items():
            path = [*above, key]
            if isinstance(value, Mapping):
                objects.append((path, value))
            entries = value if isinstance(value, list | tuple) else (value,)
            yield from ((path, one) for one in entries if isinstance(one, str | float) or _is_double(one))


def _is_double(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < 1 << 1023
