"""Find the settings of a system that differ from the default ones, so that a score can name what was scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bmretriever_integrations.settings import MAX_LENGTH

DEFAULTS: Mapping[str, Any] = {
    "max_length": MAX_LENGTH,
    "dtype": "float32",  # the number type of the reference; what "auto" becomes depends on the machine
    "normalize": False,
    "float32_matmul_precision": "highest",
    "rescored": 0,
}
"""Maps settings of an engine to the values that need no mention. Other settings need none where they are None."""

SAME_IN_ALL = frozenset({"model", "revision", "files_sha256", "fingerprint", "width", "device"})
"""Keys of an engine's settings that name its weights or its place. They are reported by themselves."""


def changed_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the settings that change vectors and differ from the default.

    A key that is not known here is returned, so that a later setting of the engine is named too.

    :param settings: what :meth:`~bmretriever_integrations.BMRetrieverEncoder.identity` returns, and perhaps further settings.
    """
    return {name: value for name, value in settings.items() if name not in SAME_IN_ALL and value != DEFAULTS.get(name)}
