"""Let a language model write training pairs: a query for each passage, or whole examples for brainstormed tasks.

A query for each of 1,000 passages, from a server (vLLM, llama.cpp, Ollama, a vendor's):

python training/synthesize.py instance --source build/pairs --limit 1000 --endpoint http://localhost:8000/v1 \\
    --model Qwen/Qwen3-8B --output build/synthetic

Examples for 200 brainstormed tasks, at most 5 units of money:

python training/synthesize.py task --tasks 200 --limit 4000 --endpoint https://api.openai.com/v1 --model gpt-4o-mini \\
    --key-variable OPENAI_API_KEY --price 0.15 0.60 --max-cost 5 --output build/synthetic-tasks

If the run is stopped, even by kill -9, the same command sends no request twice: every answer is in OUTPUT/ledger.jsonl. The
results are OUTPUT/pairs.parquet and OUTPUT/report.json.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from bmretriever_integrations.files import only_writer
from bmretriever_integrations.terminal.console import open_console
from bmretriever_integrations.terminal.streams import write_lines
from bmretriever_integrations.training.output_folder import check_output
from bmretriever_integrations.training.script import run_script, script_parser
from bmretriever_integrations.training.synthesis.asking import Asked, Asker
from bmretriever_integrations.training.synthesis.consistency import load_round_trip
from bmretriever_integrations.training.synthesis.duplicates import SIMILARITY
from bmretriever_integrations.training.synthesis.endpoint import EndpointGenerator
from bmretriever_integrations.training.synthesis.filtering import check_filters, keep, write_kept
from bmretriever_integrations.training.synthesis.generators import Generator
from bmretriever_integrations.training.synthesis.ledger import Ledger
from bmretriever_integrations.training.synthesis.levels import Draft, brainstorm, write_queries, write_triples
from bmretriever_integrations.training.synthesis.passages import choose, read_passages
from bmretriever_integrations.training.synthesis.redaction import public_address
from bmretriever_integrations.training.synthesis.spending import Spending
from bmretriever_integrations.training.synthesis.yield_report import report, report_table, write_report


def arguments() -> argparse.ArgumentParser:
    parser = script_parser(__doc__)
    add = parser.add_argument
    add(
        "level", choices=("instance", "task"), help="a query for each passage, or whole examples for brainstormed tasks"
    )
    add("--output", type=Path, required=True, help="folder of the ledger, the pairs and the report")
    add("--seed", type=int, default=0, help="seed of passages, prompts and sampling (default 0)")
    add("--limit", type=int, help="passages that get a query (default all), or examples to ask for (default 2 a task)")
    add(
        "--source",
        type=Path,
        nargs="+",
        default=[],
        help="instance: pairs (.parquet, folder), BEIR .jsonl, PubMed .xml",
    )
    add("--licence", default="", help="instance: licence of BEIR and PubMed texts; pairs have their own")
    add(
        "--words",
        type=int,
        nargs=2,
        default=(20, 400),
        help="instance: fewest and most words of a passage (default 20 400)",
    )
    add(
        "--shots",
        type=int,
        default=0,
        help="instance: number of worked examples in the prompt; small models need some (default 0)",
    )
    add("--tasks", type=int, default=20, help="task: number of tasks to brainstorm (default 20; the paper has 200)")
    add(
        "--endpoint",
        help="address of an OpenAI-compatible server, ending in /v1; without it the model runs on this machine",
    )
    add(
        "--model",
        required=True,
        help="the endpoint's model; or the folder or hub id of an instruct model that runs on this machine",
    )
    add("--gguf", help="name of the GGUF file in the model's folder, if it is one")
    add("--key-variable", help="environment variable that holds the endpoint's API key")
    add("--temperature", type=float, default=0.7, help="sampling temperature (default 0.7)")
    add("--answer-tokens", type=int, default=1024, help="most tokens of an answer (default 1024)")
    add("--at-once", type=int, default=8, help="requests sent, or computed, at the same time (default 8)")
    add(
        "--attempts",
        type=int,
        default=3,
        help="how often a question is asked at most until its answer is usable (default 3)",
    )
    add(
        "--similarity",
        type=float,
        default=SIMILARITY,
        help=f"queries at least so similar are repeats (default {SIMILARITY})",
    )
    add(
        "--round-trip",
        default="bm25",
        help="bm25, none, sentence-transformers:FOLDER or bmretriever:MODEL (default bm25)",
    )
    add(
        "--top-k",
        type=int,
        default=20,
        help="the round trip must find the passage among the first so many (default 20)",
    )
    add("--price", type=float, nargs=2, default=(0.0, 0.0), help="prices of a million prompt and completion tokens")
    add("--max-cost", type=float, help="cost at which no further request is sent; the pairs so far are written")
    add(
        "--max-tokens",
        type=int,
        help="number of tokens at which no further request is sent; the pairs so far are written",
    )
    return parser


def make_generator(given: argparse.Namespace) -> Generator:
    sampling = {"temperature": given.temperature, "max_tokens": given.answer_tokens}
    if given.endpoint:
        return EndpointGenerator(
            given.model, given.endpoint, key_variable=given.key_variable, concurrency=given.at_once, **sampling
        )
    from bmretriever_integrations.training.synthesis.local_model import LocalGenerator

    return LocalGenerator(given.model, gguf_file=given.gguf, batch_size=given.at_once, **sampling)


def run(given: argparse.Namespace) -> None:
    started = time.monotonic()
    check_filters(given.top_k, given.similarity)  # wrong settings are found before requests are paid for
    if given.limit is not None and given.limit < 1:
        raise ValueError(f"limit must be 1 or more, got {given.limit}")
    retriever = load_round_trip(given.round_trip)
    passages = read_passages(given.source, given.licence) if given.level == "instance" else []
    prompt_price, completion_price = given.price
    spending = Spending(prompt_price, completion_price, given.max_tokens, given.max_cost)
    generator = make_generator(given)
    with Ledger(given.output / "ledger.jsonl") as ledger:
        asker = Asker(generator, ledger, spending, attempts=given.attempts, progress=True)
        brainstormed: Asked | None = None
        drafts: list[Draft]
        if given.level == "instance":
            chosen = choose(passages, given.limit, tuple(given.words), given.seed)
            drafts = write_queries(chosen, asker, seed=given.seed, shots=given.shots)
        else:
            tasks = brainstorm(given.tasks, asker, seed=given.seed)
            brainstormed, asker.asked = asker.asked, Asked()
            drafts = write_triples(
                tasks, 2 * len(tasks) if given.limit is None else given.limit, asker, seed=given.seed
            )
    texts = [passage.text for passage in passages]
    kept = keep(drafts, texts, retriever, top_k=given.top_k, similarity=given.similarity)
    settings = {name: str(value) for name, value in vars(given).items() if name != "output"} | generator.settings
    if given.endpoint:
        settings["endpoint"] = public_address(given.endpoint)
    content = report(kept, asker.asked, spending, time.monotonic() - started, settings)
    if brainstormed is not None:
        content["brainstorm"] = {
            "asked": brainstormed.questions,
            "unusable": dict(brainstormed.unusable),
            "examples": brainstormed.examples,
            "tasks": tasks,
        }
    path = write_kept(kept, given.output)
    write_report(content, given.output / "report.json")
    open_console().print(report_table(content))
    unusable = [*(brainstormed.examples if brainstormed else ()), *asker.asked.examples]
    write_lines([f"{one['reason']}: {one['server']}" for one in unusable if "server" in one][:1])
    if spending.estimated:
        write_lines(
            ["The server does not report all tokens; those that it leaves out are estimated, one for three bytes."]
        )
    examples = given.output / "report.json"
    write_lines([f"{path or 'no pair was kept'}; examples of kept and lost pairs: {examples}"])


def run_locked(given: argparse.Namespace) -> None:
    if given.level == "instance" and not given.source:
        raise ValueError("the instance level needs --source")
    check_output(given.output, {"ledger.jsonl", "pairs.parquet", "report.json"}, mark="ledger.jsonl")
    given.output.mkdir(parents=True, exist_ok=True)
    with only_writer(given.output):
        run(given)


if __name__ == "__main__":
    run_script(arguments(), run_locked)
