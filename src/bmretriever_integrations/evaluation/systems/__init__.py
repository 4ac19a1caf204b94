"""Rank documents with BM25, BMRetriever and other models, and score the rankings."""
