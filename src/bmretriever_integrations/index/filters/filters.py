"""Filters: which records a search may find. All kinds of filters become one condition in LanceDB's SQL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any

from bmretriever_integrations.index.filters.conditions import Condition, all_of, any_of, checked, day, texts
from bmretriever_integrations.index.filters.fields import Scalar, column_of
from bmretriever_integrations.index.filters.haystack import from_haystack
from bmretriever_integrations.index.filters.json_keys import JsonKey
from bmretriever_integrations.index.filters.labels import LABELLED, label
from bmretriever_integrations.index.filters.llama_index import from_llama_index, is_llama_index
from bmretriever_integrations.index.schema import period_of

Texts = str | Sequence[str]
"""One text, or several of which any will do."""
Day = str | int | date
"""A year, a month or a day: ``2015``, ``"2015"``, ``"2015-03"``, ``"2015-03-14"`` or a date."""
HAYSTACK_KEYS = frozenset(("field", "operator", "value", "conditions"))
"""Keys of Haystack's dictionaries, none of which is a field of ours."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """
    Which records a search may find. A record has to meet all that is given; of several values in one field, any will do.

    A field has the name of the fact that it asks for. Journals, publication types, MeSH terms and languages match in any case;
    keywords and authors match as they are written. An empty field asks for nothing.

    :raises ValueError: saying what is allowed, if a value is none that its field can have.
    """

    since: Day | None = None
    """The first day asked for, or the month or year with which it begins. A record of which only the month or the year is known
    matches if a part of it is asked for. A record without a date never does."""
    until: Day | None = None
    """The last day asked for, or the month or year with which it ends."""
    publication_types: Texts = ()
    """PubMed's publication types, e.g. ``Randomized Controlled Trial``."""
    mesh: Texts = ()
    """Names of MeSH descriptors."""
    mesh_major: Texts = ()
    """Names of MeSH descriptors that are a major topic of the record."""
    journal: Texts = ()
    """Full names of journals."""
    languages: Texts = ()
    """MARC's codes, e.g. ``ger``. Of frequent languages, other codes and the English name also do: ``de``, ``German``."""
    keywords: Texts = ()
    authors: Texts = ()
    """As the records have them: ``Last, First Middle``."""
    ids: Texts | int | Sequence[int] = ()
    """Ids of records."""
    doi: Texts = ()
    pmcid: Texts = ()
    other: Mapping[str, Scalar | Sequence[Scalar] | None] = field(default_factory=dict, hash=False)
    """Maps further keys of JSON lines to the value that they have or, where a key holds a list, contain. None: it is missing."""
    where: str | None = None
    """A condition in LanceDB's SQL on the columns of the table."""

    def __post_init__(self) -> None:
        """Check all values."""
        for one in fields(self):
            if one.name not in ("since", "until", "other", "where"):
                object.__setattr__(self, one.name, _texts(one.name, getattr(self, one.name)))
        first, last = _period("since", self.since)[0], _period("until", self.until)[1]
        if first is not None and last is not None and first > last:
            raise ValueError(f"since={self.since!r} is after until={self.until!r}; no record can match")
        if not isinstance(self.other, Mapping):
            raise ValueError(
                f"other maps keys of JSON lines to values, e.g. {{'cohort': 'A'}}; given: {self.other!r:.100}"
            )
        if self.where is not None:
            checked(self.where)
        self._conditions()

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that ask for something as plain values of JSON; ``Filters(**it)`` asks for the same."""
        return {
            one.name: _plain(value) for one in fields(self) if (value := getattr(self, one.name)) not in (None, (), {})
        }

    def _conditions(self) -> list[Condition]:
        """Return one condition for each field that asks for something; a record must meet all."""
        asked = [_period_condition(_period("since", self.since)[0], _period("until", self.until)[1])]
        asked += [_labelled(fact, getattr(self, fact)) for fact in LABELLED]
        asked += [_named(fact, getattr(self, fact)) for fact in ("keywords", "authors")]
        asked += [_named("id", tuple(map(str, self.ids)))]  # type: ignore[arg-type]
        asked += [_ids("doi", self.doi, _bare_doi), _ids("pmcid", self.pmcid, _whole_pmcid)]
        asked += [_json_key(key, value) for key, value in self.other.items()]
        asked += [None if self.where is None else Condition(self.where)]
        return [condition for condition in asked if condition is not None]


def condition(filters: object) -> str | None:
    """
    Return the condition in LanceDB's SQL that a row must meet.

    :param filters: :class:`Filters`, a dictionary of their fields, a dictionary as Haystack's components take it, LlamaIndex's
        ``MetadataFilters``, a condition in SQL, or None.
    :returns: None if every row does.
    :raises ValueError: if a field, an operator or a value is none that is known; the message says what is allowed.
    :raises TypeError: if it is something else.
    """
    if filters is None:
        return None
    if isinstance(filters, str):
        return checked(filters)
    filters = filters_of(filters)
    if isinstance(filters, Filters):
        parts = filters._conditions()
    elif isinstance(filters, Mapping):
        parts = [from_haystack(filters)] if filters else []
    elif is_llama_index(filters):
        parts = [from_llama_index(filters)]
    else:
        raise TypeError(
            "filters are Filters, a dictionary of Haystack's, LlamaIndex's MetadataFilters, or a condition in SQL; given: "
            f"{filters!r:.100}"
        )
    return checked(all_of(parts).sql) if parts else None


def filters_of(filters: object) -> object:
    """
    Make filters of a dictionary of their fields, as YAML and a language model's call of a tool have it.

    :param filters: any filters.
    :returns: :class:`Filters` of such a dictionary; anything else as it is.
    :raises ValueError: if it has other keys, and none of Haystack's either.
    """
    if not isinstance(filters, Mapping) or not filters or not HAYSTACK_KEYS.isdisjoint(filters):
        return filters
    names = [one.name for one in fields(Filters)]
    if unknown := [key for key in filters if key not in names]:
        raise ValueError(
            f"filters have no field {unknown[0]!r:.50}. They are a dictionary with {', '.join(names)}; or one of Haystack's, "
            "with field, operator and value, or with operator and conditions"
        )
    return Filters(**filters)


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return (value.date() if isinstance(value, datetime) else value).isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return list(value) if isinstance(value, tuple | list | set | frozenset) else value


def _texts(name: str, given: Any) -> tuple[str, ...]:
    values = (given,) if isinstance(given, str | int) else given
    if not isinstance(values, Iterable) or isinstance(values, Mapping):
        raise ValueError(f"{name} is a text or a list of texts; given: {given!r:.100}")
    values = tuple(str(value) if name == "ids" and type(value) is int else value for value in values)
    wrong = [value for value in values if not isinstance(value, str) or not value.strip()]
    if wrong:
        raise ValueError(f"{name} is a text or a list of texts, none of them empty; given: {wrong[0]!r:.100}")
    return values


def _period(name: str, given: Any) -> tuple[date, date] | tuple[None, None]:
    if given is None:
        return None, None
    if isinstance(given, date):
        only = given.date() if isinstance(given, datetime) else given
        return only, only
    text = f"{given:04d}" if type(given) is int else given
    if isinstance(text, str) and re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", text.strip(), re.ASCII):
        try:
            period = period_of(text.strip())
        except ValueError:
            period = None
        if period is not None:
            return period
    raise ValueError(f"{name} is a year, a month or a day, e.g. 2015, 2015-03 or 2015-03-14; given: {given!r:.100}")


def _period_condition(first: date | None, last: date | None) -> Condition | None:
    """The last day of a record is at most a year after its first, which tells each of the two indices where it may stop."""
    parts = []
    if first is not None:
        parts.append(f"last_day >= {day(first)}")
        if first.year > 1:
            parts.append(f"first_day >= {day(date(first.year - 1, 1, 1))}")
    if last is not None:
        parts.append(f"first_day <= {day(last)}")
        if last.year < 9999:
            parts.append(f"last_day <= {day(date(last.year + 1, 12, 31))}")
    return all_of(map(Condition, parts)) if parts else None


def _labelled(fact: str, values: Texts) -> Condition | None:
    wanted = [label(fact, value) for value in values]
    return Condition(f"array_has_any(labels, [{texts(wanted)}])", total=True) if wanted else None


def _named(fact: str, values: Sequence[str]) -> Condition | None:
    column = column_of(fact)
    return column.equal_to(values) if values and column is not None else None


def _ids(fact: str, values: Texts, plain: Callable[[str], str]) -> Condition | None:
    return Condition(f"lower({fact}) IN ({texts(map(plain, values))})") if values else None


def _bare_doi(value: str) -> str:
    return re.sub(r"^(https?://(dx\.)?doi\.org/|doi:\s*)", "", value.strip().lower())


def _whole_pmcid(value: str) -> str:
    return "pmc" + value.strip().lower().removeprefix("pmc")


def _json_key(key: str, value: Any) -> Condition:
    values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    wrong = [one for one in values if not isinstance(one, str | int | float | bool | None)]
    if not isinstance(key, str) or wrong or not values:
        raise ValueError(
            "other maps a key to a text, a number, True, False or None, or to a list of them; given: "
            f"{key!r:.100}: {value!r:.100}"
        )
    asked = column_of(key) or JsonKey([key])
    plain = [one for one in values if one is not None]
    return any_of([*([asked.missing()] if None in values else []), *([asked.equal_to(plain)] if plain else [])])
