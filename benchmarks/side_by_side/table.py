"""Results -> Markdown: a short table for the README, a full one for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bmretriever_integrations.markdown import markdown_table
from side_by_side.goals import goals_table
from side_by_side.options import CASE_NAMES
from side_by_side.results import Outcome

PEERS = {
    "st-best": "sentence-transformers at its best",
    "st-default": "sentence-transformers as users run it",
    "haystack": "Haystack",
    "llama-index": "LlamaIndex",
    "authors": "the authors' loop",
}
MILLION = 1_000_000
TINY = "Tiny networks and a few texts: these numbers show that everything runs, nothing else."

Result = tuple[dict[str, Any], list[Outcome]]


def short_tables(results: Sequence[Result]) -> str:
    """
    How many times faster than each peer, one table a machine.

    :param results: results of :func:`~side_by_side.results.read_results`.
    :returns: Markdown, empty if nothing was measured.
    """
    return "\n\n".join(map(_short, by_machine(results)))


def by_machine(results: Sequence[Result]) -> list[list[Result]]:
    """
    Put the runs of one machine together.

    :param results: as in :func:`short_tables`.
    :returns: machines in the order of their first run, runs in the order given.
    """
    machines: dict[str, list[Result]] = {}
    for result in results:
        machines.setdefault(machine(result[0]), []).append(result)
    return list(machines.values())


def full_tables(results: Sequence[Result]) -> str:
    """
    Every contender's rates, work, errors and spread, one table a machine and case, and the memory of indexing.

    :param results: as in :func:`short_tables`.
    :returns: Markdown.
    """
    parts: list[str] = []
    for runs in by_machine(results):
        parts.append(f"### {machine(runs[0][0])}")
        for content, outcomes in runs:
            parts.append(conditions(content))
            for outcome in outcomes:
                parts += [_memory(outcome)] if outcome.case == "memory" else [_title(outcome), _full(outcome)]
        parts += _goals(runs)
    return "\n\n".join(parts)


def machine(content: dict[str, Any]) -> str:
    """
    Name the hardware that decided.

    :param content: the content of a JSON file.
    """
    found = content["machine_info"]
    if "gpu" in found:
        return f"{found['gpu']}, {found['gpu_memory_gib']:.0f} GiB"
    threads = found["threads_used"]
    return f"{found['cpu']}, {threads} thread{'' if threads == 1 else 's'}"


def conditions(content: dict[str, Any]) -> str:
    """
    Say what stands behind the numbers.

    :param content: the content of a JSON file.
    """
    versions, commit = content["versions"], content["commit_info"]
    named = ("torch", "transformers", "sentence-transformers", "haystack-ai", "llama-index-core", "flash-attn")
    packages = ", ".join(f"{name} {versions[name]}" for name in named if versions.get(name))
    changed = " with uncommitted changes" if commit.get("dirty") else ""
    said = f"{content['datetime'][:10]}, commit {str(commit.get('id'))[:10]}{changed}; {packages}. Texts: {content['texts']}."
    return f"{said} {TINY}" if content["options"]["tiny"] else said


def _goals(runs: Sequence[Result]) -> list[str]:
    """The goals are a GPU's."""
    return ["**Goals**", goals_table(outcomes_of(runs))] if "gpu" in runs[0][0]["machine_info"] else []


def outcomes_of(runs: Sequence[Result]) -> list[Outcome]:
    """
    Join what runs of one machine gave.

    :param runs: the oldest first.
    """
    return [outcome for _, outcomes in runs for outcome in outcomes]


def _short(runs: Sequence[Result]) -> str:
    outcomes = outcomes_of(runs)
    timed = [outcome for outcome in outcomes if outcome.case != "memory" and "ours" in outcome.names()]
    peers = [peer for peer in PEERS if any(peer in outcome.names() for outcome in timed)]
    header = ["times faster than", *(PEERS[peer] for peer in peers), "this engine", "of the matmul peak"]
    body = [
        _short_row(outcome, ours, peers)
        for outcome in timed
        for ours in ("ours", "ours-auto")
        if ours in outcome.names()
    ]
    table = markdown_table(header, body)
    memory = [line for outcome in outcomes if outcome.case == "memory" for line in _memory_lines(outcome)]
    return "\n\n".join([f"**{machine(runs[0][0])}**", table, *memory, *_goals(runs)])


def _short_row(outcome: Outcome, ours: str, peers: Sequence[str]) -> list[str]:
    name = f"{outcome.model}, {CASE_NAMES[outcome.case]}, {outcome.dtype(ours)}{_depth_note(outcome)}"
    cells = [name]
    for peer in peers:
        same = f"{peer}-auto" if ours == "ours-auto" and f"{peer}-auto" in outcome.names() else peer
        cells.append(_ratio(outcome, same, ours))
    return [*cells, _rate(outcome, ours), _share(outcome, ours)]


def _depth_note(outcome: Outcome) -> str:
    whole = int(outcome.raw["whole_depth"])
    return "" if outcome.whole == whole else f" ({outcome.whole} of {whole} layers)"


def _ratio(outcome: Outcome, peer: str, ours: str) -> str:
    if peer not in outcome.names():
        return "not installed" if peer in outcome.raw["not_installed"] else "-"
    if not outcome.right(ours):
        return f"our vectors are wrong: cosine {outcome.cosine(ours):.4f}"
    if not outcome.right(peer):
        return f"wrong vectors: cosine {outcome.cosine(peer):.4f}"
    if outcome.too_noisy(peer) or outcome.too_noisy(ours):
        return "too noisy to calculate from"
    ratio = outcome.ratio(peer, ours)
    return f"**{ratio.middle:.2f}** ({ratio.low:.2f} to {ratio.high:.2f})"


def _rate(outcome: Outcome, name: str) -> str:
    if outcome.too_noisy(name):
        return "too noisy"
    if outcome.case == "one-query":
        return f"p50 {outcome.latency(name, 50):,.1f} ms, p95 {outcome.latency(name, 95):,.1f} ms"
    return f"{_number(outcome.texts_a_second(name))} a second"


def _share(outcome: Outcome, name: str) -> str:
    share = None if outcome.too_noisy(name) else outcome.share_of_peak(name)
    return "-" if share is None else f"{100 * share:.0f} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _title(outcome: Outcome) -> str:
    raw = outcome.raw
    depth = f"timed {' and '.join(map(str, outcome.depths))} of {raw['whole_depth']} layers"
    estimate = ", the whole calculated from them" if outcome.is_estimate else ""
    mean = raw["real_tokens"] / raw["texts"]
    return (
        f"**{outcome.model}, {CASE_NAMES[outcome.case]}**: {raw['texts']:,} texts of {mean:.0f} tokens on average, the longest "
        f"{raw['longest']} ({raw['tokenizer']}); {depth}{estimate}; {outcome.rounds} rounds."
    )


def _full(outcome: Outcome) -> str:
    measures = "p50, p95" if outcome.case == "one-query" else "texts a second"
    header = ["", "dtype", measures, "tokens a second", "tokens given to the network", "of the matmul peak"]
    header += ["peak memory", "relative error", "cosine", "ours is faster by"]
    body = []
    for name in outcome.names():
        given, peak = outcome.computed_share(name), outcome.device_bytes(name)
        ours = "ours-auto" if name == "st-best-auto" else "ours"
        compared = ours in outcome.names() and not name.startswith("ours")
        body.append(
            [
                outcome.label(name),
                outcome.dtype(name),
                _rate(outcome, name).removesuffix(" a second"),
                "-" if outcome.too_noisy(name) else _number(outcome.tokens_a_second(name)),
                "-" if given is None else f"{given:.2f} of the texts' own",
                _share(outcome, name),
                "-" if peak is None else f"{peak / 1e6:,.0f} MB",
                f"{outcome.error(name):.1e}",
                f"{outcome.cosine(name):.6f}",
                _ratio(outcome, name, ours) if compared else "",
            ]
        )
    return markdown_table(header, body)


def _memory_lines(outcome: Outcome) -> list[str]:
    """For the README: ours alone, as one sentence."""
    found = outcome.raw["contenders"].get("ours")
    if not found:
        return []
    small, large = found
    kinds = [("process", "process_bytes"), ("GPU", "device_bytes")]
    parts = [
        f"{small[key] / 1e6:,.0f} MB and {large[key] / 1e6:,.0f} MB of the {kind}"
        for kind, key in kinds
        if small[key] is not None
    ]
    sizes = f"{small['passages']:,} and {large['passages']:,} passages"
    network = f"{outcome.raw['layers']} layers of width {outcome.raw['width']}, titles"
    return [f"Memory beyond the weights ({network}) while {sizes} are indexed: {'; '.join(parts)}."]


def _memory(outcome: Outcome) -> str:
    raw = outcome.raw
    head = (
        f"**Memory beyond the weights while a corpus is indexed**: {raw['layers']} layers of width {raw['width']}, "
        f"{raw['tokens_a_passage']} tokens a passage; the most that the process and the GPU held beyond what they held before."
    )
    body = []
    for name, (small, large) in raw["contenders"].items():
        for kind, key in (("process", "process_bytes"), ("GPU", "device_bytes")):
            if small[key] is None:
                continue
            each = (large[key] - small[key]) / (large["passages"] - small["passages"])
            cells = [f"{run['passages']:,} passages: {run[key] / 1e6:,.1f} MB" for run in (small, large)]
            grown = f"{each * MILLION / 1e6:,.0f} MB" if each > 0 else "none: flat"
            body.append([name, kind, *cells, grown])
    return f"{head}\n\n{markdown_table(['', 'memory', 'small corpus', 'large corpus', 'growth by a million passages'], body)}"
