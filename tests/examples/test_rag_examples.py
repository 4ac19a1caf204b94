"""The two RAG examples with an LLM: the prompt holds the evidence, and the answer's PMIDs are checked."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from haystack.components.generators.chat import MockChatGenerator
from llama_index.core.llms import CompletionResponse, MockLLM

BOTH = pytest.mark.parametrize("name", ["haystack_rag", "llamaindex_rag"])


@pytest.fixture
def run(example, tiny, source, question, monkeypatch, capsys, tmp_path):
    """A function: example, options, an LLM in place of the one they name -> what is printed."""

    def main(name, *options, llm=None):
        module = example(name)
        if llm is not None:
            monkeypatch.setattr(module, "open_llm", lambda arguments: llm)
        index = ["--index", str(tmp_path / "index"), "--model", str(tiny("llama"))]
        command = [name, str(source), "--question", question, *index, *options]
        monkeypatch.setattr(sys, "argv", command)
        module.main()
        return capsys.readouterr().out

    return main


class Scripted(MockLLM):
    """LlamaIndex's mock with a reply of one's own; alone it can only repeat the prompt."""

    reply: str = ""

    def complete(self, prompt, formatted=False, **kwargs):
        return CompletionResponse(text=self.reply)


def check_prompt(prompt, pmids, records, question, mark="[PMID {}]"):
    places = [prompt.index(mark.format(pmid)) for pmid in pmids]
    assert places == sorted(places)
    for pmid in pmids:
        assert f"{records[pmid]['title']}" in prompt
        assert records[pmid]["text"] in prompt
    assert prompt.rstrip().endswith(f"Question: {question}")
    assert "An earlier version of this abstract." not in prompt


def test_haystack_shows_the_llm_the_evidence(run, hits, records, question):
    prompts = []

    def reply(messages):
        prompts.extend(messages)
        return f"It does [PMID {best[0]}]."

    best = hits(top_k=6)
    out = run("haystack_rag", llm=MockChatGenerator(response_fn=reply))
    system, user = prompts
    assert "cite" in system.text
    check_prompt(user.text, best[:5], records, question)
    assert best[5] not in user.text
    assert out.endswith(f"\n\nIt does [PMID {best[0]}].\n\nCited and retrieved: PMID {best[0]}\n")


def test_llamaindex_shows_the_llm_the_evidence(run, hits, records, question):
    best = hits(top_k=6)
    out = run("llamaindex_rag", llm=MockLLM())  # repeats the prompt
    prompt = out[out.index("Answer the question") : out.rindex("\n\n")]
    check_prompt(prompt, best[:5], records, question, "{}")
    assert best[5] not in prompt
    assert out.endswith("Unsupported, for they were not retrieved: PMID 12345678\n")  # the prompt's own example


@BOTH
def test_an_invented_pmid_is_pointed_out(name, run, hits):
    best = hits(top_k=6)
    reply = f"It does [PMID {best[0]}], by half [PMID {best[5]}]."
    if name == "haystack_rag":
        llm = MockChatGenerator(reply)
    else:
        llm = Scripted()
        llm.reply = reply
    out = run(name, llm=llm)
    assert out.endswith(f"\n\n{reply}\n\nUnsupported, for they were not retrieved: PMID {best[5]}\n")


@BOTH
@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("Yes [PMID 90000001].", "Cited and retrieved: PMID 90000001"),
        ("Yes [PMID: 90000001, 90000002], see PMID 42.", "Cited and retrieved: PMID 90000001, 90000002, 42"),
        ("Yes [90000001][90000002].", "Cited and retrieved: PMID 90000001, 90000002"),
        ("https://pubmed.ncbi.nlm.nih.gov/90000003/", "Unsupported, for they were not retrieved: PMID 90000003"),
        ("PMIDs 90000001 and 90000003", "Unsupported, for they were not retrieved: PMID 90000003"),
        ("PMID 90000003; PMID 90000003; PMID 7", "Unsupported, for they were not retrieved: PMID 90000003, 7"),
        ("In 2021, 1,234,567 people (NCT01234567, PMC9000000) took 150 mg.", "Unsupported: the answer cites no PMID"),
        ("", "Unsupported: the answer cites no PMID"),
    ],
)
def test_citations_are_compared_with_what_was_retrieved(name, answer, verdict, example):
    assert example(name).check_citations(answer, ["90000001", "90000002", "42"]) == verdict


@pytest.fixture
def server():
    """A server on this machine that speaks OpenAI's chat completions; gives its URL and the requests that it had."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append((self.path, self.headers["Authorization"], body))
            message = {"role": "assistant", "content": "I cannot tell [PMID 90000099]."}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            reply = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}
            content = json.dumps({**reply, "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/v1", requests
        listening.shutdown()
        thread.join()


@BOTH
@pytest.mark.parametrize("key", [None, "of-the-user"])
def test_any_server_that_speaks_openai_will_do(name, key, run, server, hits, records, question, monkeypatch):
    if name == "llamaindex_rag":
        pytest.importorskip("llama_index.llms.openai_like")
    if key is None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    url, requests = server
    out = run(name, "--llm", "some-model", "--api-base", url)
    [(path, authorization, body)] = requests
    assert path == "/v1/chat/completions"
    assert authorization == f"Bearer {key or 'none'}"
    assert body["model"] == "some-model"
    mark = "[PMID {}]" if name == "haystack_rag" else "{}"
    check_prompt(body["messages"][-1]["content"], hits(), records, question, mark)
    assert "I cannot tell [PMID 90000099]." in out
    assert out.endswith("Unsupported, for they were not retrieved: PMID 90000099\n")


@BOTH
def test_a_model_on_this_machine_will_do(name, run, tiny, tmp_path):
    if name == "haystack_rag":
        pytest.importorskip("haystack_integrations.components.generators.transformers")
    else:
        pytest.importorskip("llama_index.llms.huggingface")
    out = run(name, "--local-llm", str(write_chat_model(tiny("llama"), tmp_path)))
    assert out.endswith("Unsupported: the answer cites no PMID\n")  # random weights talk nonsense


def write_chat_model(tokenizer_folder, folder):
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    tokenizer.save_pretrained(folder)
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(**shape, vocab_size=len(tokenizer), eos_token_id=2)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "options", "module", "package"),
    [
        (
            "haystack_rag",
            ["--local-llm", "x"],
            "haystack_integrations.components.generators.transformers",
            "transformers-haystack",
        ),
        ("llamaindex_rag", ["--local-llm", "x"], "llama_index.llms.huggingface", "llama-index-llms-huggingface"),
        ("llamaindex_rag", ["--llm", "x"], "llama_index.llms.openai_like", "llama-index-llms-openai-like"),
    ],
)
def test_a_missing_package_is_named(name, options, module, package, run, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit, match=f"pip install {package} "):
        run(name, *options)


@BOTH
def test_an_address_alone_names_no_llm(name, run, capsys):
    with pytest.raises(SystemExit):
        run(name, "--api-base", "http://127.0.0.1:1/v1")
    assert "--api-base needs --llm" in capsys.readouterr().err
