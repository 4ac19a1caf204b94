"""Hard negatives: pairs -> the candidates that a miner finds -> filters -> pairs with negatives and scores."""

from bmretriever_integrations.training.negatives.mining import mine
from bmretriever_integrations.training.negatives.rules import Rules

__all__ = ["Rules", "mine"]
