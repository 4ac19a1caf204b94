"""Corpora -> training pairs on disk: read, pair, filter, deduplicate, decontaminate, write."""
