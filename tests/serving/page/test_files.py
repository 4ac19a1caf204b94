"""The page's files: what they are served with, and that nothing in them is from elsewhere or stands inline."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files

import httpx
import pytest

from bmretriever_integrations.hits.snippets import COMMON
from bmretriever_integrations.index.filters.labels import LANGUAGES
from bmretriever_integrations.serving.page_routes import HEADERS, TYPES

FOLDER = files("bmretriever_integrations.serving") / "page"
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.is_file())
TEXTS = {name: (FOLDER / name).read_text("utf-8") for name in NAMES}


class Elements(HTMLParser):
    """Collects the elements of the page with their attributes, and what stands inside scripts and styles."""

    def __init__(self):
        super().__init__()
        self.found, self.options, self.inside, self.last, self.list = [], {}, "", "", ""
        self.feed(TEXTS["index.html"])

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.last = tag
        if tag == "datalist":
            self.list = dict(attrs)["id"]

    def handle_endtag(self, tag):
        self.last = ""

    def handle_data(self, data):
        if self.last in ("script", "style"):
            self.inside += data
        elif self.last == "option":
            self.options.setdefault(self.list, []).append(data)


@pytest.fixture(scope="module")
def elements():
    return Elements()


def path_of(name):
    return "" if name == "index.html" else f"page/{name}"


@pytest.fixture(scope="module")
def client(listening):
    with httpx.Client(base_url=listening.url) as client:
        yield client


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_served_with_its_type_and_the_strict_policy(client, name):
    found = client.get(path_of(name))
    assert found.status_code == 200
    assert found.content == (FOLDER / name).read_bytes()
    assert found.headers["Content-Type"] == TYPES[name[name.rindex(".") :]]
    assert {key: found.headers[key] for key in HEADERS} == dict(HEADERS)
    head = client.head(path_of(name))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(found.content))


def test_the_policy_is_the_strictest_that_the_page_works_with():
    assert HEADERS["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert HEADERS["Referrer-Policy"] == "no-referrer"
    assert HEADERS["Cache-Control"] == "no-cache"


def test_a_browser_that_has_a_file_gets_no_second_copy(client):
    first = client.get("")
    tag = first.headers["ETag"]
    for known in (tag, f'W/{tag}, "other"'):
        again = client.get("", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        assert again.headers["Content-Security-Policy"] == first.headers["Content-Security-Policy"]
    assert client.get("", headers={"If-None-Match": '"other"'}).status_code == 200
    assert len({client.get(path_of(name)).headers["ETag"] for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize(
    "path",
    ["page/none.js", "page/index.html", "page/", "page/../page_routes.py", "page/%2e%2e%2fpage_routes.py", "page/%00"],
)
def test_no_other_file_is_served(client, path):
    assert client.get(path).status_code == 404


def test_nothing_stands_inline_and_nothing_is_from_elsewhere(elements):
    assert elements.inside.strip() == ""
    for tag, attributes in elements.found:
        assert tag != "base"
        assert not any(name == "style" or name.startswith("on") for name in attributes), (tag, attributes)
        for name in ("src", "href", "action"):
            if name in attributes and not attributes[name].startswith("#"):
                assert attributes[name].removeprefix("page/") in (*NAMES, "docs")
    for name, text in TEXTS.items():
        if name.endswith(".css"):
            assert not re.search(r"url\(|@import|image-set", text), name
        for never in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert never not in text, name
        for address in re.findall(r"https?://[^\s\"'`$]*", text):
            assert address.startswith(
                (
                    "https://pubmed.ncbi.nlm.nih.gov/",
                    "https://pmc.ncbi.nlm.nih.gov/",
                    "https://doi.org/",
                    "http://www.w3.org/2000/svg",
                )
            ), address


def test_each_field_has_a_label_and_each_id_is_there_once(elements):
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids)) > 20
    labelled = {attributes.get("for") for tag, attributes in elements.found if tag == "label"}
    fields = [
        attributes
        for tag, attributes in elements.found
        if tag in ("input", "textarea") and attributes.get("type") not in ("radio", "checkbox")
    ]
    assert len(fields) == 8
    for field in fields:
        assert field["id"] in labelled or field.get("aria-label"), field
    for _, attributes in elements.found:
        for name in ("for", "aria-labelledby", "aria-describedby", "list", "form"):
            assert attributes.get(name) in (None, *ids)


def test_what_the_lists_offer_is_understood_by_the_filters(elements):
    assert {"Meta-Analysis", "Randomized Controlled Trial"} <= set(elements.options["types-list"])
    named = {code.casefold() for code in elements.options["languages-list"]}
    assert named == {name for name in LANGUAGES if len(name) > 3}


def test_the_same_words_are_common_as_in_the_passages_of_the_server():
    listed = re.search(r"const COMMON = new Set\(\s*\((.*?)\)\.split", TEXTS["marking.js"], re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"[a-z]+", listed[1])) == COMMON


def test_files_are_short():
    for name, text in TEXTS.items():
        assert len(text.splitlines()) <= 200, name
