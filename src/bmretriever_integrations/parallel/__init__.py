"""Several engines as one: a process for each device of this machine, or Ray actors on many machines."""

from bmretriever_integrations.parallel.crew import WorkersLost
from bmretriever_integrations.parallel.pool import EncoderPool

__all__ = ["EncoderPool", "WorkersLost"]
