"""What the commands print: text from data cannot control the terminal, and every console can show it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bmretriever_integrations.cli import COMMANDS, main, status_of
from bmretriever_integrations.terminal.console import open_console

# made up: a screen that is cleared, a link, a clipboard, 8-bit codes, a forged row and a direction that is turned round
TITLE = "Red \x1b[31mtitle\x1b]0;changed\x07\n 9  99.99  forged  row \u202eesrever\x9b2J [red]TNF-α[/red]"
TEXT = "TNF-α body \x1b[2J cleared \x1b]8;;https://example.org\x1b\\link \x1b]52;c;cm0=\x07"
CONTROLS = {"\x1b", "\x07", "\x9b", "\x9d", "\u202e", "\r", "\x08"}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    rows = [
        {"_id": "1\x1b[2J", "title": TITLE, "text": TEXT},
        {"_id": "2\x1b[2J"},
        {"_id": "3 \u03b1", "title": "≥ α → β", "text": "naïve ≥ 5"},
    ]
    (tmp_path / "records \x1b[2J.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "records \x1b[2J.jsonl"


def test_index_and_search_print_records_as_text(records: Path, tiny, capsys) -> None:
    folder, model = records.parent / "i", str(tiny("llama"))
    capsys.readouterr()  # making the tiny checkpoint shows a bar
    assert main(["index", str(records), "--to", str(folder), "--model", model]) == 0
    assert main(["search", str(folder), "TNF"]) == 0
    out, err = capsys.readouterr()
    assert CONTROLS.isdisjoint(out + err)
    lines = out.splitlines()
    assert "left out: 1 (1 no text)" in lines
    assert [line.split()[0] for line in lines if line[:4].strip().isdigit()] == ["1", "2"]  # and no third row
    assert "[red]TNF-α[/red]" in " ".join(out.split())


def test_evaluate_prints_names_as_text(write_task, tiny, capsys) -> None:
    name = "[red]t\x1b[2J\u202e\n9  forged"
    task = write_task(name, {"d1": "aspirin"}, {"q1": "aspirin"}, [("q1", "d1", 1), ("q1", "gone", 1)])
    model = str(tiny("llama"))
    capsys.readouterr()
    assert main(["evaluate", str(task), "--model", model]) == 0
    out, err = capsys.readouterr()
    assert CONTROLS.isdisjoint(out + err)
    assert not any(line.startswith("9") for line in (out + err).splitlines())
    assert "[red]t" in out
    assert "1 of 2 relevant documents are not in the corpus" in out


def test_tables_and_examples_of_training_print_data_as_text(tmp_path: Path, capsys) -> None:
    pytest.importorskip("pyarrow")
    from bmretriever_integrations.training.negatives.report import examples
    from bmretriever_integrations.training.pairs.schema import Pair, PairWriter

    with PairWriter(tmp_path / "pairs.parquet") as writer:
        writer.write(Pair(task="[red]t\x1b[2J", instruction="Find", query=TITLE, positive=TEXT, negatives=[TITLE]))
    open_console(columns=200).print(examples(tmp_path / "pairs.parquet", 1))
    out = capsys.readouterr().out
    assert CONTROLS.isdisjoint(out)
    assert "[red]t" in out
    assert not any(line.lstrip("│ ").startswith("9") for line in out.splitlines())
    assert out.count("forged") == 2  # the query and the negative, each in its own line


def test_an_error_that_quotes_data_is_one_line(capsys) -> None:
    def fail() -> int:
        raise ValueError(f"the record {TITLE!s} is wrong")

    assert status_of(fail) == 2
    err = capsys.readouterr().err
    assert CONTROLS.isdisjoint(err)
    assert err.count("\n") == 1


def test_a_title_of_any_length_leaves_room_for_the_other_hits(tmp_path: Path, tiny, capsys) -> None:
    rows = [{"_id": str(place), "title": "word " * 2000, "text": "A text."} for place in range(3)]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    main(["index", str(tmp_path / "c.jsonl"), "--to", str(tmp_path / "i"), "--model", str(tiny("llama"))])
    capsys.readouterr()
    assert main(["search", str(tmp_path / "i"), "q"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("...") == 3
    assert len(printed.splitlines()) < 40


def environment_of(encoding: str) -> dict[str, str]:
    return {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding, "COLUMNS": "80"}


def run_in(encoding: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "bmretriever_integrations", *words]
    return subprocess.run(command, capture_output=True, env=environment_of(encoding), check=False, timeout=300)


ONE_AFTER_ANOTHER = """
import json, sys
from bmretriever_integrations.cli import main

for words in json.load(sys.stdin):
    sys.stdout.reconfigure(errors="strict")  # as in a process of its own
    status = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.stdout.buffer.write(b"\\n==== %d\\n" % status)
    sys.stdout.buffer.flush()
"""


def run_each_in(encoding: str, commands: list[tuple[str, ...]]) -> list[tuple[bytes, int]]:
    """What each command prints to either stream, and its status; one process, because each would import PyTorch."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_ANOTHER],
        input=json.dumps(commands).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment_of(encoding),
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    *parts, rest = re.split(rb"\n==== (\d)\n", done.stdout)
    assert rest == b""
    return [(printed, int(status)) for printed, status in zip(parts[::2], parts[1::2], strict=True)]


def test_a_console_that_is_not_utf_8_shows_what_it_can(records: Path, tiny, write_task) -> None:
    model, home = str(tiny("llama")), records.parent
    task = write_task("tâsk-α", {"d1": ("α", "TNF-α")}, {"q1": "TNF-α"}, [("q1", "d1", 1)])
    runs = {
        ("index", str(records), "--to", str(home / "α-index"), "--model", model): b"2 records; 2 embedded now",
        ("search", str(home / "α-index"), "TNF-α", "≥"): rb"TNF-\u03b1 body",
        ("search", str(home / "α-index"), "TNF-α", "--json"): "TNF-α body".encode(),
        ("evaluate", str(task), "--model", model): rb"sk-\u03b1",
        ("evaluate", "--list"): b"scifact",
        ("export", model, "--to", str(home / "α-export")): rb"\u03b1-export",
        ("models",): b"mini",
        ("build", "α-task", "x"): rb"\u03b1-task",
        ("index", "α.jsonl", "--to", "x"): rb"\u03b1.jsonl does not exist",
    }
    ends = run_each_in("cp1252", list(runs))
    for (words, expected), (printed, status) in zip(runs.items(), ends, strict=True):
        is_error = words[:2] in (("build", "α-task"), ("index", "α.jsonl"))
        assert status == (2 if is_error else 0), (words, printed)
        assert expected in printed, words
        assert b"Traceback" not in printed
        assert b"UnicodeEncodeError" not in printed


def test_the_demo_runs_on_a_console_of_ascii(tmp_path: Path, tiny) -> None:
    pytest.importorskip("haystack")
    pytest.importorskip("llama_index.vector_stores.faiss")
    rows = [{"_id": f"α{i}", "title": f"Study ≥ {i}", "text": f"TNF-α {i}"} for i in range(5)]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    flags = ["--source", str(tmp_path / "c.jsonl"), "--to", str(tmp_path / "i"), "--model", str(tiny("llama"))]
    done = run_in("ascii", "demo", *flags)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"TNF-\u03b1" in done.stdout
    assert b"Haystack and LlamaIndex agree" in done.stdout


def test_every_help_is_shown_on_a_console_of_ascii() -> None:
    for name in COMMANDS:
        done = run_in("ascii", name, "--help")
        assert (done.returncode, done.stderr) == (0, b"")
        assert COMMANDS[name].example.encode() in done.stdout
        explained = done.stdout.partition(b"\nexample:")[0]
        assert max(map(len, explained.splitlines())) <= 80
