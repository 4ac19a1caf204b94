"""Filters, compared with a plain loop over the records."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index import Filters
from bmretriever_integrations.index.filters.filters import condition
from bmretriever_integrations.index.schema import period_of

Found = Callable[[str | None], set[str]]
LABELLED = ("journal", "publication_types", "mesh", "mesh_major", "languages")


def listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def equal(value: Any, wanted: Any) -> bool:
    """As the page says: equal, or a list that has it; None asks for what is missing."""
    return value is None if wanted is None else value == wanted or (isinstance(value, list) and wanted in value)


def matches(record: Record, asked: dict[str, Any]) -> bool:
    facts: Metadata = record.metadata
    for name, wanted in asked.items():
        if name in ("since", "until"):
            period = period_of(facts.date)
            limit = period_of(wanted)
            if period is None or (period[1] < limit[0] if name == "since" else period[0] > limit[1]):
                return False
        elif name == "other":
            if not all(any(equal(facts.other.get(key), one) for one in values) for key, values in wanted.items()):
                return False
        elif name in LABELLED:
            own = {" ".join(value.split()).lower() for value in listed(getattr(facts, name))}
            if not own & {" ".join(value.split()).lower() for value in wanted}:
                return False
        elif not set(listed(getattr(facts, name))) & set(wanted):
            return False
    return True


def test_random_filters_find_what_a_loop_finds(various_records: list[Record], found: Found) -> None:
    draw = random.Random(3)
    sizes = set()
    for _ in range(100):
        asked: dict[str, Any] = {}
        for name in draw.sample(("since", "until", "other", *LABELLED, "authors", "keywords"), draw.choice((1, 1, 2))):
            example = draw.choice(various_records).metadata
            if name in ("since", "until"):
                asked[name] = draw.choice(("2014", "2015", "2015-03", "2015-03-14", "2016", "1999-12-31", "2024-06-30"))
            elif name == "other":
                values = {key: value for key, value in example.other.items() if not isinstance(value, list | dict)}
                asked[name] = {
                    key: [value, *draw.choices((3, "A", None), k=draw.randrange(2))] for key, value in values.items()
                }
            elif values := listed(getattr(example, name)):
                asked[name] = [
                    draw.choice((str, str.upper, str.lower))(one) if name in LABELLED else one for one in values
                ]
        if "since" in asked and "until" in asked and period_of(asked["since"])[0] > period_of(asked["until"])[1]:
            asked["since"], asked["until"] = asked["until"], asked["since"]
        wanted = {record.id for record in various_records if matches(record, asked)}
        assert found(condition(Filters(**asked))) == wanted, asked
        sizes.add(len(wanted))
    assert len(sizes) > 15


@pytest.mark.parametrize("name", ["journal", "mesh", "authors", "keywords"])
def test_hostile_texts_are_plain_texts(name: str, various_records: list[Record], found: Found) -> None:
    values = {value for record in various_records for value in listed(getattr(record.metadata, name))}
    for value in values:
        wanted = {record.id for record in various_records if matches(record, {name: [value]})}
        assert wanted
        assert found(condition(Filters(**{name: value}))) == wanted


def test_hostile_keys_are_plain_keys(various_records: list[Record], found: Found) -> None:
    keys = {key for record in various_records for key in record.metadata.other}
    assert len(keys) > 20
    for key in keys:
        absent = {record.id for record in various_records if record.metadata.other.get(key) is None}
        assert found(condition(Filters(other={key: None}))) == absent
        wanted = {record.id for record in various_records if equal(record.metadata.other.get(key), "A")}
        assert found(condition(Filters(other={key: "A"}))) == wanted


@pytest.mark.parametrize(
    ("since", "until", "dates"),
    [
        ("2015-03-14", "2015-03-14", {"2015", "2015-03", "2015-03-14"}),
        ("2015-04", "2015", {"2015"}),
        (2016, None, {"2016-02-29", "2024-06-30"}),
        (None, date(2014, 1, 1), {"1999-12", "2014"}),
        (datetime(2015, 3, 15, 9), datetime(2015, 3, 15, 1), {"2015", "2015-03", "2015-03-15"}),
        (9999, None, set()),
        (None, 1, set()),
    ],
)
def test_a_date_is_a_period(
    since: Any, until: Any, dates: set[str], various_records: list[Record], found: Found
) -> None:
    wanted = {record.id for record in various_records if record.metadata.date in dates}
    assert found(condition(Filters(since=since, until=until))) == wanted
    assert bool(wanted) == bool(dates)


def test_languages_have_several_names(various_records: list[Record], found: Found) -> None:
    wanted = {record.id for record in various_records if "ger" in record.metadata.languages}
    assert wanted
    assert all(found(condition(Filters(languages=name))) == wanted for name in ("ger", "GER", "de", "deu", "German"))


def test_ids_have_the_forms_that_people_copy(found: Found) -> None:
    assert found(condition(Filters(ids=[3, "7"]))) == {"3", "7"}
    assert found(condition(Filters(ids=3, doi="10.1/none"))) == set()


def test_a_doi_and_a_pmcid_are_found_in_any_form(various_records: list[Record], found: Found) -> None:
    record = next(one for one in various_records if one.metadata.doi and one.metadata.pmcid)
    doi, pmcid = str(record.metadata.doi), str(record.metadata.pmcid)
    for form in (doi, doi.upper(), f"https://doi.org/{doi}", f"doi: {doi}"):
        assert found(condition(Filters(doi=form))) == {record.id}
    for form in (pmcid, pmcid.lower(), pmcid.removeprefix("PMC")):
        assert found(condition(Filters(pmcid=form))) == {record.id}


def test_sql_is_joined_as_a_whole(various_records: list[Record], found: Found) -> None:
    sql = "retracted or version = 2"
    wanted = {one.id for one in various_records if one.metadata.retracted or one.metadata.version == 2}
    reviews = {one.id for one in various_records if "Review" in one.metadata.publication_types}
    assert found(condition(sql)) == wanted
    assert found(condition(Filters(where=sql, publication_types="review"))) == wanted & reviews
    assert wanted & reviews < reviews


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("true) or (true", "brackets"),
        ("id = '1' -- no more", "'--'"),
        ("id = '1'; drop table records", "';'"),
        ("id = '1' /* x */", "'/\\*'"),
        ("id = 'a", "has no end"),
        ("(" * 21 + "true" + ")" * 21, "21 levels deep"),
    ],
)
def test_sql_that_is_no_whole_condition_is_refused(sql: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        condition(sql)
    with pytest.raises(ValueError, match=said):
        Filters(where=sql)


def test_signs_inside_quotes_are_no_sql(found: Found) -> None:
    assert found(condition("id = 'a;--/*(''' or id = '7' or `id` = '8'")) == {"7", "8"}


@pytest.mark.parametrize("sign", ["'", "\\", "\\'", "''", '"', "`", "\n", "\0", "%", "$"])
def test_no_text_and_no_key_ends_its_quotes(sign: str, various_tables: list[Any], found: Found) -> None:
    before = [(table.version, table.count_rows()) for table in various_tables]
    attack = f"{sign} OR 1=1) OR (id <> {sign}"
    asked = [
        *(Filters(**{name: attack}) for name in ("journal", "mesh", "authors", "keywords", "doi", "ids")),
        *(
            Filters(other={key: value})
            for key, value in ((attack, "A"), ("k", attack), (attack, 1), ("k", [attack, 77]))
        ),
        {"field": f"meta.{attack}", "operator": "==", "value": 1},
        {"field": attack, "operator": ">", "value": 1},
        {"field": "meta.journal", "operator": "in", "value": [attack]},
        {"field": "content", "operator": "==", "value": attack},
    ]
    assert all(found(condition(filters)) == set() for filters in asked)
    assert [(table.version, table.count_rows()) for table in various_tables] == before


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"since": "2015-13"}, "since is a year, a month or a day.*'2015-13'"),
        ({"since": "March 2015"}, "2015-03-14"),
        ({"since": True}, "since is a year"),
        ({"since": 0}, "since is a year"),
        ({"until": "2015-02-30"}, "until is a year"),
        ({"since": 2016, "until": "2015-12"}, "is after"),
        ({"mesh": 3}, "mesh is a text or a list of texts"),
        ({"mesh": ["Aged", ""]}, "none of them empty"),
        ({"journal": {"Nature": 1}}, "journal is a text"),
        ({"ids": [1.5]}, "ids is a text"),
        ({"keywords": "\ud800"}, "lone surrogate"),
        ({"other": {"k": float("nan")}}, "finite number"),
        ({"other": {"k": float("inf")}}, "finite number"),
        ({"other": {"k": 10**400}}, "finite number"),
        ({"other": {"k": {"a": 1}}}, "other maps a key"),
        ({"other": {"k": []}}, "other maps a key"),
        ({"other": "k"}, "other maps keys"),
        ({"where": "a ; b"}, "quoted text only"),
    ],
)
def test_a_value_that_its_field_cannot_have_is_refused_at_once(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Filters(**values)


def test_nothing_asked_is_no_condition() -> None:
    assert condition(None) is None
    assert condition(Filters()) is None
    assert condition(Filters(mesh=[], other={})) is None


def test_filters_and_the_dictionary_of_their_fields_ask_for_the_same() -> None:
    values = {
        "publication_types": ["Review", "Case Reports"],
        "ids": [7, "8"],
        "other": {"k": {"A", 3}},
        "where": "version > 1",
    }
    filters = Filters(since=date(2015, 3, 14), until=2024, **values)
    plain = filters.as_dict()
    assert plain["since"] == "2015-03-14"
    assert set(plain) == {"since", "until", *values}
    assert condition(json.loads(json.dumps(plain))) == condition(filters)
    assert Filters().as_dict() == {}


def test_what_is_no_filter_is_refused() -> None:
    with pytest.raises(TypeError, match="MetadataFilters"):
        condition(["journal"])


def test_too_many_conditions_are_refused_and_many_values_are_not(found: Found) -> None:
    parts = [{"field": "meta.journal", "operator": "==", "value": f"{number}"} for number in range(5_001)]
    with pytest.raises(ValueError, match="at most 5,000"):
        condition({"operator": "OR", "conditions": parts})
    assert found(condition(Filters(ids=[*range(10_000, 20_000), 7]))) == {"7"}
