"""A real Chromium, and a server of the page whose answers a test decides."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from bmretriever_integrations.serving.page_routes import page_routes
from bmretriever_integrations.serving.run import server_of
from bmretriever_integrations.serving.settings import ServerSettings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Playwright

CHROMIUM = Path("/usr/bin/chromium")
"""Where Debian's package puts it."""
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic",
]  # fmt: skip
WAIT = 20_000
"""Milliseconds after which what a test waits for will not come."""


@pytest.fixture(scope="session")
def browser_thread() -> Iterator[ThreadPoolExecutor]:
    """
    The thread of the browser. Playwright leaves an event loop running in the thread that started it, beside which no asynchronous
    test of another folder could run.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="browser") as thread:
        yield thread


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test of the browser in its thread."""
    if "browser" not in pyfuncitem.fixturenames:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in signature(pyfuncitem.obj).parameters}
    pyfuncitem.funcargs["browser_thread"].submit(pyfuncitem.obj, **arguments).result()
    return True


@pytest.fixture(scope="session")
def browser(browser_thread: ThreadPoolExecutor) -> Iterator[Browser]:
    """One browser for all tests."""
    reason = None if CHROMIUM.exists() else f"there is no browser at {CHROMIUM}: apt-get install chromium"
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        reason = "there is no playwright: pip install playwright"
    if reason:
        if os.environ.get("BMRETRIEVER_NEEDS_BROWSER"):
            pytest.fail(f"{reason}; BMRETRIEVER_NEEDS_BROWSER is set, so its tests must run")
        pytest.skip(reason)

    def start() -> tuple[Playwright, Browser]:
        playwright = sync_playwright().start()
        return playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)

    playwright, started = browser_thread.submit(start).result()
    yield started
    browser_thread.submit(started.close).result()
    browser_thread.submit(playwright.stop).result()


@dataclass
class Tab:
    """A page that is open, and what happened in it."""

    context: BrowserContext
    page: Page
    console: list[str] = field(default_factory=list)
    """Warnings and errors that the browser or a script wrote, violations of the policy among them."""
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Record what happens from now on."""
        self.page.on("console", lambda m: self.console.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.set_default_timeout(WAIT)

    def open(self, url: str, part: str = "") -> Page:
        """Go to an address, and to what stands behind "#", and wait until the page shows it."""
        if self.page.url.startswith(url):
            self.page.goto("about:blank")  # else another part behind "#" would load nothing
        self.page.goto(f"{url}#{part}")
        self.page.wait_for_selector("main[aria-busy=false]", state="attached")
        return self.page

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Wait for the end of the search that the block begins."""
        with self.page.expect_response(lambda response: response.url.endswith("/search")):
            yield
        self.page.wait_for_selector("main[aria-busy=false]", state="attached")

    def origins(self) -> set[str]:
        """Where requests went."""
        return {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in self.requests if url.startswith("http")}


@pytest.fixture
def new_tab(browser: Browser, browser_thread: ThreadPoolExecutor) -> Iterator[Callable[..., Tab]]:
    """A function, for tests: options of a context, such as its colours and width -> a tab."""
    contexts = []

    def make(**options: Any) -> Tab:
        contexts.append(browser.new_context(**options))
        tab = Tab(contexts[-1], contexts[-1].new_page())
        tab.watch()
        return tab

    yield make
    for context in contexts:
        browser_thread.submit(context.close).result()


@pytest.fixture
def tab(new_tab: Callable[..., Tab], browser_thread: ThreadPoolExecutor) -> Iterator[Tab]:
    """A tab of a wide window, in which nothing may go wrong that the test does not take out of ``console``."""
    tab = browser_thread.submit(new_tab, viewport={"width": 1280, "height": 900}).result()
    yield tab
    assert tab.console == []
    assert len(tab.origins()) <= 1, "the page asked another server"


def hit(rank: int, **facts: Any) -> dict[str, Any]:
    """A hit as the server writes it."""
    plain = {"rank": rank, "score": 0.8, "id": f"r{rank}", "title": f"Title {rank}", "text": f"Text {rank}."}
    plain |= {"passage": f"Text {rank}.", "from_vectors": 0.5, "from_words": 0.3, "pmid": None, "url": None}
    return {**plain, "date": "", "marks": [], "metadata": {}, **facts}


def answer(hits: Sequence[dict[str, Any]], **parts: Any) -> dict[str, Any]:
    """An answer as the server writes it, of hits by their facts."""
    numbered = [hit(number, **facts) for number, facts in enumerate(hits, 1)]
    plain = {"question": "metformin cancer", "mode": "hybrid", "hits": numbered, "retracted_left_out": 0, "records": 40}
    return {**plain, "timings": {"embedding_ms": 2.0, "search_ms": 3.0}, "notes": [], **parts}


Answer = Callable[[dict[str, Any]], Response]


def usual(body: dict[str, Any]) -> Response:
    """Three hits."""
    return JSONResponse(answer([{}, {}, {}], question=body.get("question", "the title of a record")))


@dataclass
class Site:
    """A server of the page whose answers a test decides."""

    url: str = ""
    answer: Answer = usual
    """Makes the answer to a body of /search."""
    about: Response | None = None
    """The answer to /index, if it is not the usual one."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """What /search was asked."""
    keys: list[str] = field(default_factory=list)
    """The header Authorization of each of these."""

    def answers(self, *hits: dict[str, Any], **parts: Any) -> None:
        """Answer every search with these hits, each given by what differs from the usual one."""
        content = json.dumps(answer(hits, **parts))  # in ASCII, so that a text may be anything that JSON can say
        self.answer = lambda _body: Response(content, media_type="application/json")

    def app(self) -> FastAPI:
        """The application."""
        app = FastAPI()
        app.include_router(page_routes())

        @app.get("/index")
        def index() -> Response:
            usual = {
                "name": "papers",
                "records": 40,
                "retracted": 1,
                "years": [1999, 2021],
                "model": "mini",
                "tuned": False,
            }
            return self.about or JSONResponse(usual)

        @app.post("/search")
        def search(body: dict[str, Any], request: Request) -> Response:
            self.bodies.append(body)
            self.keys.append(request.headers.get("Authorization", ""))
            return self.answer(body)

        return app


@pytest.fixture(scope="session")
def listening() -> Iterator[Site]:
    """One server for all tests."""
    site = Site()
    settings = ServerSettings(port=0)
    server = server_of(site.app(), settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    site.url = f"http://127.0.0.1:{server.port}/"
    yield site
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def site(listening: Site) -> Site:
    """The server, as it was at its start."""
    listening.answer, listening.about = usual, None
    listening.bodies.clear()
    listening.keys.clear()
    return listening
