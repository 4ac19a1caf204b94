"""Define what a record says beside its title and text: when, where and by whom it was published, and what it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

DOI = re.compile(r"10\.[0-9]{4,9}/\S+")
"""A DOI, wherever in a text it stands."""
PMCID = re.compile(r"(?:PMC)?([0-9]{1,12})")
"""An id of PubMed Central, with or without its letters."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The facts of a record, as PubMed names them. A fact that the source does not state is None, empty or False."""

    date: str | None = None
    """Date of publication in ISO 8601, as precise as it is known: ``2015``, ``2015-03`` or ``2015-03-14``."""
    journal: str | None = None
    """Full name of the journal, or of the book."""
    authors: tuple[str, ...] = ()
    """Each as ``Last, First Middle``, or the name of a group."""
    publication_types: tuple[str, ...] = ()
    """PubMed's publication types, e.g. ``Randomized Controlled Trial``."""
    mesh: tuple[str, ...] = ()
    """Names of the MeSH descriptors, without their qualifiers."""
    mesh_major: tuple[str, ...] = ()
    """Those of ``mesh`` that are a major topic, by themselves or by one of their qualifiers."""
    keywords: tuple[str, ...] = ()
    """Keywords of the authors or of other indexers."""
    languages: tuple[str, ...] = ()
    """Languages of the full text, in MARC's codes of three letters, e.g. ``eng``."""
    doi: str | None = None
    pmcid: str | None = None
    """Id of the full text in PubMed Central, with its letters: ``PMC1234567``."""
    version: int | None = None
    """Version of the citation: 1, or more where a publisher revises its papers."""
    revised: str | None = None
    """Date on which PubMed last revised the citation, in ISO 8601."""
    retracted: bool = False
    """Whether the paper was retracted."""
    retraction_notice: str | None = None
    """PMID of the notice of the retraction, where it is known."""
    expression_of_concern: str | None = None
    """PMID or reference of an expression of concern about the paper; "" where there is one without a reference."""
    other: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further keys of a JSON line with their values."""

    def facts(self) -> dict[str, Any]:
        """Return what is known, as plain values: the named facts first, then the further keys, which never hide a named fact."""
        named = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "other"}
        known = {key: list(value) if isinstance(value, tuple) else value for key, value in named.items()}
        known = {key: value for key, value in known.items() if value not in (None, [], False)}
        return {**known, **{key: value for key, value in self.other.items() if key not in known}}


NO_METADATA = Metadata()
"""The metadata of a record whose source states none."""
NAMED = tuple(one.name for one in fields(Metadata) if one.name != "other")
"""Names of the facts that have a field of their own."""
