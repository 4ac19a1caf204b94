"""docs/offline.md names the commits to which the released checkpoints are pinned, and the command that fetches them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from bmretriever_integrations.checkpoints import RELEASED, find_checkpoint

PAGE = (Path(__file__).parents[2] / "docs" / "offline.md").read_text(encoding="utf-8")


def test_the_table_is_the_catalogue():
    rows = re.findall(r"^\| `(\w+)` \| `(\S+)` \| `([0-9a-f]{40})` \| (\S+) GB \|$", PAGE, re.MULTILINE)
    assert rows == [
        (one.name, one.hub_id, one.revision, f"{one.parameters * 4 / 1e9:.1f}")  # float32 on the hub
        for one in RELEASED
    ]


def test_each_download_is_of_a_pinned_commit():
    commands = [shlex.split(line) for line in re.findall(r"^hf download .+$", PAGE, re.MULTILINE)]
    assert len(commands) == 2
    for command in commands:
        checkpoint = find_checkpoint(command[2])
        assert command[command.index("--revision") + 1] == checkpoint.revision
