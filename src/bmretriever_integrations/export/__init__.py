"""Write a checkpoint as a folder for sentence-transformers and for other tools that use it or read its format."""

from bmretriever_integrations.export.checkpoint import Exported, export_checkpoint
from bmretriever_integrations.export.folder import write_sentence_transformer

__all__ = ["Exported", "export_checkpoint", "write_sentence_transformer"]
