"""A checkpoint as the folder that other tools read: sentence-transformers, and whatever stands on it or reads its format."""

from bmretriever_integrations.export.checkpoint import Exported, export_checkpoint
from bmretriever_integrations.export.folder import write_sentence_transformer

__all__ = ["Exported", "export_checkpoint", "write_sentence_transformer"]
