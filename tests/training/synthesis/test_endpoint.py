"""The endpoint route against a real HTTP server: retries, bad answers, budget, ledger, kill -9."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bmretriever_integrations.training.pairs.passages import Passage
from bmretriever_integrations.training.pairs.schema import Pair, PairWriter, read_pairs
from bmretriever_integrations.training.synthesis.asking import FAILURES_IN_A_ROW, NO_BUDGET, Asker
from bmretriever_integrations.training.synthesis.endpoint import EndpointGenerator
from bmretriever_integrations.training.synthesis.generators import Answer, Failure, Request
from bmretriever_integrations.training.synthesis.ledger import Ledger
from bmretriever_integrations.training.synthesis.levels import brainstorm, write_queries, write_triples
from bmretriever_integrations.training.synthesis.redaction import public_address, secrets_of
from bmretriever_integrations.training.synthesis.spending import Spending

SCRIPT = "training/synthesize.py"


class Server(ThreadingHTTPServer):
    """Speaks chat completions; ``reply(body, earlier)`` decides, ``earlier`` being how often this conversation came before."""

    daemon_threads = True

    def __init__(self, reply):
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply, self.bodies, self.headers_seen = reply, [], []
        self.seen, self.lock = Counter(), threading.Lock()
        self.running = self.most_running = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = json.dumps(body, sort_keys=True)
        with self.server.lock:
            earlier = self.server.seen[key]
            self.server.seen[key] += 1
            self.server.bodies.append(body)
            self.server.headers_seen.append(self.headers)
            self.server.running += 1
            self.server.most_running = max(self.server.most_running, self.server.running)
        status, content = self.server.reply(body, earlier)
        with self.server.lock:
            self.server.running -= 1
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if status in (429, 500):
            self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *arguments):
        pass


def said(text, finish="stop", tokens=(100, 10)):
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    return 200, {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


def refused(status, message="no"):
    return status, {"error": {"message": message, "type": "t", "code": "c"}}


def word_of(body):
    return re.findall(r"drug(\w+)", body["messages"][1]["content"])[-1]


def good(body, earlier=0):
    return said(json.dumps({"query": f"who should take medicine {word_of(body)} {ord(word_of(body)[0])}"}))


@pytest.fixture
def serve():
    servers = []

    def start(reply):
        server = Server(reply)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


NAMES = """alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar
papa""".split()  # noqa: SIM905  shorter so
PASSAGES = [Passage(f"p#{name}", f"The substance drug{name} is given to adults twice a day.", "CC0") for name in NAMES]


def ask(server, tmp_path, passages=PASSAGES[:1], *, spending=None, attempts=3, **settings):
    """Drafts and the asker after one run with the ledger of ``tmp_path``."""
    generator = EndpointGenerator("m", server.url, **{"timeout": 20, "retries": 3, **settings})
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        asker = Asker(generator, ledger, spending or Spending(), attempts=attempts)
        return write_queries(passages, asker, seed=0), asker


def test_a_query_for_each_passage_with_its_provenance(serve, tmp_path):
    server = serve(good)
    drafts, asker = ask(server, tmp_path, PASSAGES)
    assert [draft.pair.positive for draft in drafts] == [passage.text for passage in PASSAGES]
    for draft, name in zip(drafts, NAMES, strict=True):
        assert draft.pair.query.startswith(f"who should take medicine {name}")
        assert re.fullmatch(rf"m; prompt instance [0-9a-f]{{12}}; passage p#{name}", draft.pair.source)
        assert draft.pair.licence == "synthetic; passage: CC0"
        assert draft.pair.task == f"synthetic-{draft.query_type}"
        assert len(draft.pair.instruction.split()) > 3
    assert (asker.asked.questions, asker.asked.requests, asker.asked.usable_at) == (16, 16, {1: 16})
    assert (asker.spending.prompt_tokens, asker.spending.completion_tokens) == (1600, 160)
    body = server.bodies[0]
    assert body["model"] == "m"
    assert body["response_format"] == {"type": "json_object"}
    assert len({body["seed"] for body in server.bodies}) == 16


@pytest.mark.parametrize("status", [429, 500])
def test_busy_servers_are_asked_again(serve, tmp_path, status):
    server = serve(lambda body, earlier: refused(status) if earlier < 2 else good(body))
    drafts, asker = ask(server, tmp_path)
    assert len(drafts) == 1
    assert len(server.bodies) == 3  # by the client: to us it is one request
    assert asker.asked.requests == 1


def test_a_server_that_stays_busy_is_counted_and_asked_on_the_next_run(serve, tmp_path):
    server = serve(lambda body, earlier: refused(500))
    drafts, asker = ask(server, tmp_path, retries=1)
    assert (drafts, asker.asked.unusable) == ([], {"server status 500": 1})
    server.reply = good
    assert len(ask(server, tmp_path)[0]) == 1


def test_what_was_wrong_is_told_and_the_next_answer_counts(serve, tmp_path):
    faults = {
        "alpha": ('{"query": "who', "length", "cut off"),
        "bravo": ("who takes it", "stop", "no valid JSON"),
        "charlie": ('{"question": "who takes it"}', "stop", "Field query"),
        "delta": ("As an AI language model I cannot", "stop", "speak of yourself"),
    }

    def reply(body, earlier):
        text, finish, _ = faults[word_of(body)]
        return said(text, finish) if len(body["messages"]) == 2 else good(body)

    server = serve(reply)
    drafts, asker = ask(server, tmp_path, PASSAGES[:4])
    assert len(drafts) == 4
    assert asker.asked.usable_at == {2: 4}
    assert asker.asked.requests == 8
    for body in server.bodies[4:]:
        text, _, told = faults[word_of(body)]
        assert body["messages"][2] == {"role": "assistant", "content": text}
        assert told in body["messages"][3]["content"]


def test_attempts_end(serve, tmp_path):
    server = serve(lambda body, earlier: said("no"))
    for attempts in (1, 3):
        drafts, asker = ask(server, tmp_path / str(attempts), attempts=attempts)
        assert (drafts, asker.asked.requests) == ([], attempts)
        assert asker.asked.unusable == {"no JSON object": 1}
        assert asker.asked.examples == [{"reason": "no JSON object", "answer": "no"}]


@pytest.mark.parametrize(
    "content", [b"<html>busy</html>", b"{}", b'{"choices": []}', b'{"choices": [{"index": 0}]}', b"[1]"]
)
def test_a_200_that_is_no_chat_completion(serve, tmp_path, content):
    drafts, asker = ask(serve(lambda body, earlier: (200, content)), tmp_path, retries=0)
    assert (drafts, asker.asked.unusable) == ([], {"no chat completion in the server's answer": 1})


def test_an_answer_without_content_or_usage(serve, tmp_path):
    status, content = said(None)
    del content["usage"]
    _, asker = ask(serve(lambda body, earlier: (status, content)), tmp_path, attempts=1)
    assert asker.asked.unusable == {"empty answer": 1}
    assert asker.spending.completion_tokens == 0


def test_a_server_without_json_mode_is_asked_without(serve, tmp_path):
    def reply(body, earlier):
        return refused(400, "response_format is not supported") if "response_format" in body else good(body)

    server = serve(reply)
    assert len(ask(server, tmp_path, PASSAGES[:3], concurrency=1)[0]) == 3
    assert ["response_format" in body for body in server.bodies] == [True, False, False, False]
    server.bodies.clear()
    ask(server, tmp_path / "plain", json_mode=False)
    assert ["response_format" in body for body in server.bodies] == [False]


def test_a_wrong_key_ends_the_run_at_once(serve, tmp_path, monkeypatch):
    server = serve(lambda body, earlier: refused(401, "bad key"))
    monkeypatch.setenv("MY_KEY", "sk-secret")
    with pytest.raises(PermissionError, match=r"refuses model 'm'.*bad key"):
        ask(server, tmp_path, PASSAGES, key_variable="MY_KEY", concurrency=1)
    assert len(server.bodies) == 1
    assert server.headers_seen[0]["Authorization"] == "Bearer sk-secret"
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(ValueError, match="MY_KEY holds no API key"):
        ask(server, tmp_path, key_variable="MY_KEY")


def test_the_key_is_written_nowhere(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    drafts, asker = ask(serve(good), tmp_path, key_variable="MY_KEY")
    kept = (tmp_path / "ledger.jsonl").read_text() + repr(drafts) + repr(vars(asker))
    assert "sk-secret" not in kept


SECRET = "sk-a1b2c3d4e5f6g7h8"


def test_a_key_that_the_server_sends_back_is_hidden(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", SECRET)

    def echo(status):
        def reply(body, earlier):
            sent = server.headers_seen[-1]["Authorization"]
            if status == 200:
                return said(json.dumps({"query": f"who should take drugalpha, {sent}"}))
            return refused(status, f"no such key: {sent}; Authorization: Basic QWxhZGRpbjpvcGVu")

        return reply

    server = serve(echo(200))
    drafts, _ = ask(server, tmp_path / "answer", key_variable="MY_KEY")
    assert drafts[0].pair.query == "who should take drugalpha, Bearer [hidden]"
    assert SECRET not in (tmp_path / "answer" / "ledger.jsonl").read_text()
    server.reply = echo(400)
    _, asker = ask(server, tmp_path / "400", key_variable="MY_KEY")
    assert "no such key: Bearer [hidden]" in asker.asked.examples[0]["server"]
    assert SECRET not in repr(asker.asked)
    assert "QWxhZGRpbjpvcGVu" not in repr(asker.asked)
    server.reply = echo(401)
    with pytest.raises(PermissionError, match=r"no such key: Bearer \[hidden\]") as caught:
        ask(server, tmp_path / "401", key_variable="MY_KEY")
    chain = "".join(traceback.format_exception(caught.value))
    assert SECRET not in chain


@pytest.mark.parametrize("key", ["sk-one\n", "sk one", "sk-\u2019one"])
def test_what_is_no_key_is_refused_without_being_shown(serve, tmp_path, monkeypatch, key):
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ValueError, match="MY_KEY holds white space or characters that no API key has") as caught:
        ask(serve(good), tmp_path, key_variable="MY_KEY")
    assert "one" not in str(caught.value)


def test_what_a_server_says_with_status_400_is_kept(serve, tmp_path):
    server = serve(lambda body, earlier: refused(400, "max_tokens is above 512"))
    _, asker = ask(server, tmp_path, PASSAGES[:2])
    assert asker.asked.unusable == {"server status 400": 2}
    assert [one["reason"] for one in asker.asked.examples] == ["server status 400"] * 2
    assert all("max_tokens is above 512" in one["server"] for one in asker.asked.examples)
    passages = [Passage(str(number), f"drug{number} helps", "") for number in range(FAILURES_IN_A_ROW)]
    with pytest.raises(ConnectionError, match=r"server status 400: .*max_tokens is above 512"):
        ask(server, tmp_path, passages, concurrency=1)


def test_addresses_are_shown_without_what_may_be_secret():
    address = "https://me:pa%20ss@models.example:8443/v1?api-key=abc&version=2#x"
    assert public_address(address) == "https://models.example:8443/v1?[hidden]"
    assert public_address("http://localhost:8000/v1") == "http://localhost:8000/v1"
    assert secrets_of(address) == ["abc", "2", "me:pa%20ss", "pa ss", "me:pa ss", "bWU6cGEgc3M="]
    assert secrets_of("http://localhost:8000/v1") == []


def test_a_dead_server_ends_the_run(serve, tmp_path):
    server = serve(lambda body, earlier: refused(500))
    passages = [Passage(str(number), f"drug{number} helps", "") for number in range(FAILURES_IN_A_ROW + 30)]
    with pytest.raises(ConnectionError, match=f"last {FAILURES_IN_A_ROW} requests failed"):
        ask(server, tmp_path, passages, retries=0, concurrency=1)
    assert len(server.bodies) <= FAILURES_IN_A_ROW + 1


def test_concurrency_is_what_is_in_flight(serve, tmp_path):
    for concurrency in (1, 4):
        together = threading.Barrier(concurrency)  # answers only when so many requests are in flight

        def reply(body, earlier, together=together):
            together.wait(20)
            return good(body)

        server = serve(reply)
        ask(server, tmp_path / str(concurrency), PASSAGES, concurrency=concurrency)
        assert server.most_running == concurrency
    with pytest.raises(ValueError, match="concurrency must be 1 or more"):
        ask(server, tmp_path, concurrency=0)


def test_nothing_is_asked_twice(serve, tmp_path):
    server = serve(good)
    first, _ = ask(server, tmp_path, PASSAGES[:5])
    again, replayed = ask(server, tmp_path, PASSAGES[:7])
    assert again[:5] == first
    assert len(server.bodies) == 7
    assert (replayed.asked.remembered, replayed.asked.requests) == (5, 2)
    assert replayed.spending.prompt_tokens == 700  # what the whole took, whoever paid
    ask(server, tmp_path, PASSAGES[:5], temperature=0.5)  # another temperature is another request
    assert len(server.bodies) == 12


@pytest.mark.parametrize(
    "limit", [{"max_tokens": 330}, {"max_cost": 0.0005, "prompt_price": 1.0, "completion_price": 5.0}]
)
def test_a_budget_stops_and_leaves_what_was_made(serve, tmp_path, limit):
    server = serve(good)
    drafts, asker = ask(server, tmp_path, PASSAGES, spending=Spending(**limit), concurrency=1)
    made = 3 if "max_tokens" in limit else 4  # 110 tokens each, 150 millionths each
    assert len(drafts) == len(server.bodies) == made
    assert asker.asked.questions == made  # what was never put does not count as failed
    assert asker.spending.stopped
    more, _ = ask(server, tmp_path, PASSAGES)
    assert len(more) == 16
    assert len(server.bodies) == 16


def without_usage(body, earlier=0):
    status, content = good(body)
    content["usage"] = {"prompt_tokens": None, "completion_tokens": 0} if len(body["messages"]) % 2 else None
    return status, content


@pytest.mark.parametrize("limit", [{"max_tokens": 2000}, {"max_cost": 0.002, "prompt_price": 1.0}])
def test_a_budget_holds_where_the_server_reports_no_tokens(serve, tmp_path, limit):
    server = serve(without_usage)
    drafts, asker = ask(server, tmp_path, PASSAGES, spending=Spending(**limit), concurrency=1)
    assert 0 < len(drafts) == len(server.bodies) < 16
    assert asker.spending.stopped
    spent = asker.spending
    assert spent.estimated == spent.tokens > 0
    text = "".join(message["content"] for body in server.bodies for message in body["messages"])
    assert len(text.encode()) / 4 < spent.prompt_tokens < len(text.encode()) / 2  # 4 bytes a token is usual
    _, again = ask(server, tmp_path, PASSAGES, spending=Spending(**limit), concurrency=1)
    assert again.asked.requests == 0  # what the ledger holds is counted, too
    _, reported = ask(serve(good), tmp_path / "reported", PASSAGES)
    assert reported.spending.estimated == 0


def test_a_budget_that_ends_before_the_second_attempt(serve, tmp_path):
    server = serve(lambda body, earlier: said("no"))
    _, asker = ask(server, tmp_path, spending=Spending(max_tokens=100))
    assert asker.asked.unusable == {NO_BUDGET: 1}


def test_prices():
    spending = Spending(prompt_price=0.15, completion_price=0.6)
    spending.add(Request([{"role": "user", "content": "x"}], 0), Answer("y", False, 1_000_000, 500_000))
    assert spending.cost == pytest.approx(0.45)
    with pytest.raises(ValueError, match="a cost limit needs prices"):
        Spending(max_cost=1.0)
    with pytest.raises(ValueError, match="prices must be 0 or more"):
        Spending(prompt_price=-1.0)


def test_tasks_then_examples(serve, tmp_path):
    long = "Iron is taken up in the small bowel and carried through the blood by a protein called transferrin, {}."

    def reply(body, earlier):
        asked = body["messages"][1]["content"]
        if asked.startswith("Brainstorm"):
            tasks = [
                f"Given a query about organ {number}, retrieve documents on it" for number in (body["seed"] % 3, 7, 8)
            ]
            return said(json.dumps({"tasks": ["Find things", *tasks, tasks[0].upper() + "!"]}))
        organ = re.search(r"organ (\d)", asked).group(1)
        triple = {
            "user_query": f"where does organ {organ} take up iron number {body['seed']}",
            "positive_document": long.format(f"organ {organ}"),
            "hard_negative_document": long.format("of another kind"),
        }
        return said(json.dumps(triple))

    server = serve(reply)
    generator = EndpointGenerator("m", server.url)
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        asker = Asker(generator, ledger, Spending())
        tasks = brainstorm(3, asker, seed=0)
        assert len(tasks) == 3
        assert all(task.startswith("Given a query about organ") for task in tasks)
        drafts = write_triples(tasks, 7, asker, seed=0)
    assert Counter(draft.pair.instruction for draft in drafts) == {tasks[0]: 3, tasks[1]: 2, tasks[2]: 2}
    assert len({draft.pair.task for draft in drafts}) == 3
    assert all(draft.pair.negatives == (long.format("of another kind"),) for draft in drafts)
    assert drafts[0].pair.licence == "synthetic"
    assert len({draft.pair.query for draft in drafts}) == 7  # the second round of a task is another request


def test_a_ledger_cut_in_its_last_line_goes_on(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.add("a", Answer("one\n\ud800é", False, 1, 2))
        ledger.add("b", Answer("two", True, 3, 4))
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with Ledger(path) as ledger:
        assert len(ledger) == 1
        assert ledger.find("a") == Answer("one\n\ud800é", False, 1, 2)
        assert ledger.find("b") is None
        ledger.add("b", Answer("two", True, 3, 4))
        assert ledger.find("a").text.startswith("one")
    assert path.read_bytes() == whole
    path.write_bytes(b'{"key": 1}\n' + whole)
    with pytest.raises(ValueError, match=r"ledger\.jsonl:1 is no answer"):
        Ledger(path)


def test_requests_are_named_by_all_that_decides_the_answer():
    request = Request(({"role": "user", "content": "a"},), 1, "{")
    keys = {
        request.key({"model": "m"}),
        request.key({"model": "n"}),
        Request(({"role": "user", "content": "b"},), 1, "{").key({"model": "m"}),
        Request(({"role": "user", "content": "a"},), 2, "{").key({"model": "m"}),
        Request(({"role": "user", "content": "a"},), 1, "").key({"model": "m"}),
    }
    assert len(keys) == 5
    assert request.key({"model": "m"}) == Request([{"role": "user", "content": "a"}], 1, "{").key({"model": "m"})
    assert Failure("a") != Failure("b")


def command(root, server, source, output, *more):
    words = [sys.executable, str(root / SCRIPT), "instance", "--source", str(source), "--endpoint", server.url]
    words += ["--model", "m", "--words", "3", "99", "--at-once", "2", "--output", str(output), *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_and_run_again_asks_nothing_twice(serve, tmp_path, pytestconfig):
    source, output = tmp_path / "source.parquet", tmp_path / "out"
    with PairWriter(source) as writer:
        for passage in PASSAGES:
            writer.write(Pair(task="t", instruction="Given a, find b", query="q", positive=passage.text, licence="CC0"))
    hold = threading.Event()

    def reply(body, earlier):
        if len(server.bodies) > 6:
            hold.wait(60)  # the requests that are in flight when the kill comes
        return good(body)

    server = serve(reply)
    process = command(pytestconfig.rootpath, server, source, output)
    while len(server.bodies) < 8:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    hold.set()
    safe = len((output / "ledger.jsonl").read_bytes().splitlines())
    assert safe == 6
    assert not (output / "pairs.parquet").exists()

    before = len(server.bodies)
    process = command(pytestconfig.rootpath, server, source, output, "--top-k", "1", "--price", "1", "2")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err == ""  # no bar where nobody looks
    assert len(server.bodies) - before == 16 - safe
    assert max(server.seen.values()) <= 2
    assert sum(count - 1 for count in server.seen.values()) == 2  # the two in flight, and no other
    report = json.loads((output / "report.json").read_text())
    assert (report["asked"], report["remembered"], report["requests"], report["valid"]) == (16, 6, 10, 16)
    assert report["round_trip"]["passages"] == 16
    assert report["prompt_tokens"] == 1600
    assert report["cost"] == pytest.approx((1600 * 1 + 160 * 2) / 1e6)
    kept = list(read_pairs(output / "pairs.parquet")) if report["kept"] else []
    assert len(kept) == report["kept"]
    assert "questions asked" in out
    assert re.search(r"valid +16 +100\.0 %", out)


def test_the_command_hides_passwords_and_says_what_was_estimated(serve, tmp_path, pytestconfig, monkeypatch, capsys):
    server = serve(lambda body, earlier: without_usage(body) if word_of(body) != "echo" else refused(400, "no echo"))
    source = tmp_path / "source.jsonl"
    source.write_text("".join(json.dumps({"_id": passage.id, "text": passage.text}) + "\n" for passage in PASSAGES[:5]))
    address = server.url.replace("//", "//me:hunter2hunter2@") + "?key=abcabcabcabc"
    given = ["instance", "--source", source, "--endpoint", address, "--model", "m", "--words", "3", "99"]
    monkeypatch.setattr(sys, "argv", [SCRIPT, *map(str, given), "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(pytestconfig.rootpath / SCRIPT), run_name="__main__")
    assert end.value.code == 0
    said_here = capsys.readouterr()
    assert "those that it leaves out are estimated" in said_here.out
    assert "server status 400: Error code: 400" in said_here.out
    assert "no echo" in said_here.out
    written = "".join(path.read_text(errors="replace") for path in (tmp_path / "out").iterdir() if path.is_file())
    assert (
        json.loads((tmp_path / "out" / "report.json").read_text())["settings"]["endpoint"] == f"{server.url}?[hidden]"
    )
    for secret in ("hunter2", "abcabcabcabc"):
        assert secret not in written + said_here.out + said_here.err


def test_the_command_says_what_is_wrong_before_it_asks(serve, tmp_path, pytestconfig, monkeypatch, capsys):
    server = serve(good)
    (tmp_path / "mined").mkdir()
    (tmp_path / "mined" / "pairs.parquet").write_text("of another step")
    source = tmp_path / "source.jsonl"
    source.write_text('{"_id": "1", "title": "", "text": "Some words of a passage."}\n')

    def said(*words, source=source, output="out"):
        given = ["instance", "--source", source, "--endpoint", server.url, "--model", "m", "--words", "3", "99"]
        monkeypatch.setattr(sys, "argv", [SCRIPT, *map(str, given), "--output", str(tmp_path / output), *words])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(pytestconfig.rootpath / SCRIPT), run_name="__main__")
        assert end.value.code == 2
        return capsys.readouterr().err

    assert said(source=tmp_path / "none.parquet").startswith("error: no pairs at")
    assert "holds pairs.parquet, which this step did not write" in said(output="mined")
    for option, value, message in (
        ("--top-k", "0", "top_k must be 1 or more"),
        ("--similarity", "0", "similarity must be above 0"),
        ("--limit", "0", "limit must be 1 or more"),
        ("--answer-tokens", "0", "max_tokens must be 1 or more"),
        ("--temperature", "-1", "temperature must be 0 or more"),
        ("--max-tokens", "0", "max_tokens must be above 0"),
        ("--attempts", "0", "attempts must be 1 or more"),
        ("--round-trip", "bm52", "round trip must be"),
    ):
        assert message in said(option, value)
    assert server.bodies == []


def test_no_tasks_are_no_question(serve, tmp_path):
    server = serve(good)
    with Ledger(tmp_path / "ledger.jsonl") as ledger, pytest.raises(ValueError, match="tasks must be 1 or more"):
        brainstorm(0, Asker(EndpointGenerator("m", server.url), ledger, Spending()), seed=0)
