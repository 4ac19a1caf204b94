"""Hard negatives: pairs -> candidates of a miner -> filters -> pairs with negatives and scores."""

from bmretriever_integrations.training.negatives.mining import mine
from bmretriever_integrations.training.negatives.rules import Rules

__all__ = ["Rules", "mine"]
