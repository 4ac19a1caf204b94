"""What checkpoints there are, and a name or folder -> weights in memory."""

from bmretriever_integrations.checkpoints.catalogue import (
    CHECKPOINTS,
    DEFAULT_MODEL,
    RELEASED,
    Checkpoint,
    find_checkpoint,
)

__all__ = ["CHECKPOINTS", "DEFAULT_MODEL", "RELEASED", "Checkpoint", "find_checkpoint"]
