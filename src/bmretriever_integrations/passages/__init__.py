"""Cut long texts into passages that a model embeds whole. What counts tokens is passed in, so this part knows no encoder."""

from bmretriever_integrations.passages.splitter import PassageSplitter, TokenCounter, split_text
from bmretriever_integrations.passages.titles import ShortenedTitleWarning

__all__ = ["PassageSplitter", "ShortenedTitleWarning", "TokenCounter", "split_text"]
