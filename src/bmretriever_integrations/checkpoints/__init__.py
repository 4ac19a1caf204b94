"""List the known checkpoints, and load a checkpoint by its name or folder."""

from bmretriever_integrations.checkpoints.catalogue import (
    CHECKPOINTS,
    DEFAULT_MODEL,
    RELEASED,
    Checkpoint,
    find_checkpoint,
)

__all__ = ["CHECKPOINTS", "DEFAULT_MODEL", "RELEASED", "Checkpoint", "find_checkpoint"]
