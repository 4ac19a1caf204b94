"""Results -> Markdown: for each machine a short table and a full one; :mod:`.overview` has all machines in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bmretriever_integrations.markdown import markdown_table
from side_by_side.equality import RELATIVE_ERROR, smallest_cosine
from side_by_side.goals import goals_table
from side_by_side.limits import share_of_bandwidth, share_of_peak
from side_by_side.memory_table import memory_lines, memory_table
from side_by_side.options import CASE_NAMES
from side_by_side.ratios import is_shown, pairs, ratio
from side_by_side.results import Outcome

PEERS = {
    "st-best": "sentence-transformers at its best",
    "st-default": "sentence-transformers as users run it",
    "haystack": "Haystack",
    "llama-index": "LlamaIndex",
    "authors": "the authors' loop",
}
OURS = ("ours", "ours-auto", "ours-int8")
BFLOAT16 = (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512 BF16"), ("bf16", "Arm BF16"))
"""Flags of CPUs that compute bfloat16, the fastest first, and what a reader calls them."""
NOISY = "too noisy"
TINY = "Tiny networks and a few texts: these numbers show that everything runs, nothing else."

Result = tuple[dict[str, Any], list[Outcome]]


def short_tables(results: Sequence[Result]) -> str:
    """
    How many times faster than each peer, one table a machine.

    :param results: results of :func:`~side_by_side.results.read_results`.
    :returns: Markdown, empty if nothing was measured.
    """
    return "\n\n".join(map(short_table, by_machine(results)))


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
                parts += [memory_table(outcome)] if outcome.case == "memory" else [_title(outcome), _full(outcome)]
        parts += ["**Goals**", goals_table(outcomes_of(runs), on_gpu="gpu" in runs[0][0]["machine_info"])]
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
    kind = next((f" with {name}" for flag, name in BFLOAT16 if flag in found["cpu_flags"]), "")
    return f"{found['cpu']}{kind}, {threads} thread{'' if threads == 1 else 's'}"


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


def outcomes_of(runs: Sequence[Result]) -> list[Outcome]:
    """
    Join what runs of one machine gave.

    :param runs: the oldest first; of two outcomes for the same model and case the later one counts.
    """
    return list({(outcome.model, outcome.case): outcome for _, outcomes in runs for outcome in outcomes}.values())


def short_table(runs: Sequence[Result]) -> str:
    """
    How many times faster than each peer on one machine.

    :param runs: its runs, the oldest first.
    :returns: Markdown.
    """
    outcomes = outcomes_of(runs)
    timed = [outcome for outcome in outcomes if outcome.case != "memory"]
    peers = [peer for peer in PEERS if any(peer in outcome.names() for outcome in timed)]
    header = ["times faster than", *(PEERS[peer] for peer in peers), "this engine", "of the device's limit"]
    body = [_short_row(outcome, ours, peers) for outcome in timed for ours in OURS if ours in outcome.names()]
    memory = [line for outcome in outcomes if outcome.case == "memory" for line in memory_lines(outcome)]
    return "\n\n".join([f"**{machine(runs[0][0])}**", markdown_table(header, body), *memory])


def _short_row(outcome: Outcome, ours: str, peers: Sequence[str]) -> list[str]:
    name = f"{outcome.model}, {CASE_NAMES[outcome.case]}, {outcome.dtype(ours)}{_depth_note(outcome)}"
    compared = {peer.removesuffix("-auto"): peer for peer, own in pairs(outcome) if own == ours}
    cells = [_ratio(outcome, compared[peer], ours) if peer in compared else _absent(outcome, peer) for peer in peers]
    return [name, *cells, _rate(outcome, ours), _limit(outcome, ours)]


def _depth_note(outcome: Outcome) -> str:
    whole = int(outcome.raw["whole_depth"])
    return "" if outcome.whole == whole else f" ({outcome.whole} of {whole} layers)"


def _absent(outcome: Outcome, peer: str) -> str:
    return "not installed" if peer in outcome.raw["not_installed"] else "-"


def _ratio(outcome: Outcome, peer: str, ours: str) -> str:
    if not outcome.right(ours):
        return f"our vectors are wrong: cosine {outcome.cosine(ours):.4f}"
    if not outcome.right(peer):
        return f"wrong vectors: cosine {outcome.cosine(peer):.4f}"
    found = ratio(outcome, peer, ours)
    if found is None:
        return NOISY
    return f"**{found.middle:.2f}** ({f'{found.low:.2f} to {found.high:.2f}' if found.count > 1 else 'one round'})"


def _figure(outcome: Outcome, name: str, figure: str) -> str:
    """Show it, unless the contender's ratios are refused or its vectors are wrong."""
    if not outcome.right(name):
        return "-"
    return figure if is_shown(outcome, name) else NOISY


def _rate(outcome: Outcome, name: str) -> str:
    if outcome.case == "one-query":
        figure = f"p50 {outcome.latency(name, 50):,.1f} ms, p95 {outcome.latency(name, 95):,.1f} ms"
    else:
        figure = f"{_number(outcome.texts_a_second(name))} a second"
    return _figure(outcome, name, figure)


def _share(outcome: Outcome, name: str, of: Callable[[Outcome, str], float | None]) -> str:
    """Of the peak or of the bandwidth. What is above 1 by no more than measuring errs is 1."""
    if not is_shown(outcome, name):
        return _figure(outcome, name, "")
    share = of(outcome, name)
    return "-" if share is None else f"{100 * min(share, 1):.0f} %"


def _limit(outcome: Outcome, name: str) -> str:
    """What bounds one query on a CPU is the memory, everything else the products of matrices."""
    for of, limit in ((share_of_bandwidth, "memory bandwidth"), (share_of_peak, "matmul peak")):
        share = _share(outcome, name, of)
        if share.endswith("%"):
            return f"{share} of the {limit}"
    return share


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
    one = outcome.case == "one-query"
    header = ["", "dtype", "p50, p95" if one else "texts a second", "tokens a second", "tokens given to the network"]
    shares = {"of the matmul peak": share_of_peak}
    if one and outcome.raw.get("read_bandwidth") is not None:
        shares["of the memory bandwidth"] = share_of_bandwidth
    header += [*shares, "peak memory", "relative error", "cosine", "right at", "ours is faster by"]
    compared = {peer if ours != "ours-int8" else ours: (peer, ours) for peer, ours in pairs(outcome)}
    body = []
    for name in outcome.names():
        given, peak = outcome.computed_share(name), outcome.device_bytes(name)
        cells = [
            outcome.label(name),
            outcome.dtype(name),
            _rate(outcome, name).removesuffix(" a second"),
            _figure(outcome, name, _number(outcome.tokens_a_second(name))),
            "-" if given is None else f"{given:.2f} of the texts' own",
            *(_share(outcome, name, of) for of in shares.values()),
            "-" if peak is None else f"{peak / 1e6:,.0f} MB",
            f"{outcome.error(name):.1e}",
            f"{outcome.cosine(name):.6f}",
            _right_at(outcome.dtype(name)),
            _ratio(outcome, *compared[name]) if name in compared else "",
        ]
        if name == "ours-int8" and cells[-1].startswith("**"):
            cells[-1] += f", than sentence-transformers at its best in {outcome.dtype(compared[name][0])}"
        body.append(cells)
    return markdown_table(header, body)


def _right_at(dtype: str) -> str:
    """What equality asks of a contender's vectors."""
    least = smallest_cosine(dtype)
    return f"error <= {RELATIVE_ERROR:.0e}" if least is None else f"cosine >= {least}"
