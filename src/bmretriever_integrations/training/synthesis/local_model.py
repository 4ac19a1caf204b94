"""A causal language model on this machine, through transformers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from bmretriever_integrations.checkpoints.one_at_a_time import transformers_alone
from bmretriever_integrations.device import resolve_device, resolve_dtype
from bmretriever_integrations.training.synthesis.generators import Answer, Failure, Request

TOP_P = 0.95
"""Sampling leaves out the least likely tokens, which together have 5 %. The value was chosen here: small models write nonsense
after such a token."""
END_OF_OBJECT = ['"}', '"]}', '" }', '"\n}', "]\n}"]
"""Texts that end a JSON object of strings, at which generation stops: small models would go on writing. Inside a string no
unescaped quote can be followed by a brace."""


class LocalGenerator:
    """
    Generates answers with a model from a folder, the hub or a GGUF file.

    Every row of a batch is sampled by its own seed, so that an answer does not depend on the other rows.
    """

    def __init__(
        self,
        model: str,
        *,
        gguf_file: str | None = None,
        temperature: float = 0.7,
        max_tokens: int = 512,
        batch_size: int = 8,
        prefill: bool = True,
        device: str | None = None,
        dtype: str = "auto",
    ) -> None:
        """
        :param model: folder or hub id of an instruct model whose tokenizer has a chat template.
        :param gguf_file: name of the GGUF file in the folder, if the model is one; needs the ``gguf`` package.
        :param temperature: sampling temperature; 0 always takes the likeliest token.
        :param max_tokens: most tokens of an answer.
        :param batch_size: number of requests computed together.
        :param prefill: whether every answer starts with the beginning of a right one (``{"query": "``); small models need it.
        :param device: where the model runs; None takes CUDA, then MPS, then the CPU.
        :param dtype: as :func:`~bmretriever_integrations.device.resolve_dtype` takes it.
        :raises ValueError: if the tokenizer has no chat template, or a number is out of range.
        """
        if batch_size < 1 or max_tokens < 1 or temperature < 0:
            raise ValueError(
                "batch_size and max_tokens must be 1 or more, temperature 0 or more; got "
                f"{batch_size}, {max_tokens}, {temperature}"
            )
        self._device = resolve_device(device)
        self._tokenizer, network = _load(model, gguf_file, resolve_dtype(dtype, self._device))
        if not self._tokenizer.chat_template:
            raise ValueError(f"the tokenizer of {model} has no chat template: take an instruct model")
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._network = network.to(self._device).eval()
        self._batch_size, self._prefill = batch_size, prefill
        self._temperature, self._max_tokens = temperature, max_tokens
        self._name = Path(gguf_file).stem if gguf_file else model.rstrip("/").rsplit("/", 1)[-1]

    @property
    def name(self) -> str:
        """Return the name of the file, or the last part of the folder or hub id."""
        return self._name

    @property
    def settings(self) -> dict[str, object]:
        """Return model and sampling."""
        return {
            "model": self._name,
            "temperature": self._temperature,
            "max_tokens": self._max_tokens,
            "top_p": TOP_P,
            "prefill": self._prefill,
        }

    def answers(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer | Failure]]:
        """
        Answer requests batch by batch.

        :param requests: read one batch at a time.
        """
        waiting = iter(requests)
        while batch := list(islice(waiting, self._batch_size)):
            yield from zip(batch, self._generate(batch), strict=True)

    def _prompt(self, request: Request) -> str:
        messages = list(request.messages)
        text: str = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text + self._opening(request)

    def _opening(self, request: Request) -> str:
        return request.opening if self._prefill else ""

    @torch.inference_mode()
    def _generate(self, batch: Sequence[Request]) -> list[Answer]:
        prompts = [self._prompt(request) for request in batch]
        encoded = self._tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False).to(self._device)
        width = encoded["input_ids"].shape[1]
        made = self._network.generate(
            **encoded,
            do_sample=False,  # the processor below adds the noise that makes the argmax a sample
            max_new_tokens=self._max_tokens,
            pad_token_id=self._tokenizer.pad_token_id,
            stop_strings=END_OF_OBJECT,
            tokenizer=self._tokenizer,
            logits_processor=[RowSampler([request.seed for request in batch], self._temperature)],
        )[:, width:].tolist()
        ends = _end_tokens(
            self._network.generation_config.eos_token_id, self._tokenizer.eos_token_id, self._tokenizer.pad_token_id
        )
        answers = []
        for request, ids, mask in zip(batch, made, encoded["attention_mask"], strict=True):
            kept = next((ids[:i] for i, token in enumerate(ids) if token in ends), ids)
            text = self._opening(request) + self._tokenizer.decode(kept, skip_special_tokens=True)
            whole = len(kept) < self._max_tokens
            answers.append(Answer(text, not whole, int(mask.sum()), len(kept) + (len(kept) < len(ids))))
        return answers


class RowSampler:
    """
    A logits processor that makes the argmax a sample of softmax(logits / temperature), cut at :data:`TOP_P`.

    With independent Gumbel noise added to log-probabilities, their argmax is a sample of the distribution. Here the noise of
    every row comes from its own seed.
    """

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        """
        :param seeds: the seed of each row of the batch.
        :param temperature: sampling temperature; 0 leaves the scores as they are.
        """
        from transformers import TopPLogitsWarper

        self._chances = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._temperature = temperature
        self._cut = TopPLogitsWarper(TOP_P)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """
        Add the noise of one step.

        :param input_ids: tokens so far. *Shape:* (rows, length) int64
        :param scores: logits of the next token. *Shape:* (rows, vocabulary) floating
        :returns: the logits with noise. *Shape:* (rows, vocabulary) float32
        """
        if self._temperature == 0:
            return scores
        cut: torch.Tensor = self._cut(input_ids, scores.float() / self._temperature)
        uniform = torch.stack([torch.rand(scores.shape[1], generator=chance) for chance in self._chances])
        return cut - (-uniform.clamp_min(1e-20).log()).log().to(scores.device)


def _load(model: str, gguf_file: str | None, number_type: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"gguf_file": gguf_file} if gguf_file else {}
    with transformers_alone(bars=False):
        tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left", **source)
        return tokenizer, AutoModelForCausalLM.from_pretrained(model, dtype=number_type, **source)


def _end_tokens(*ids: int | list[int] | None) -> set[int]:
    flat: set[int] = set()
    for one in ids:
        flat.update(one if isinstance(one, list) else [] if one is None else [one])
    return flat
