"""Corpora -> training pairs on disk: read, pair, filter, decontaminate, deduplicate, write."""
