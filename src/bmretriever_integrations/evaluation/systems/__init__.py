"""Who answers: BM25, dense retrieval, other models; and how a ranking is scored."""
