"""Passages, or no input at all -> synthetic training pairs: ask a language model, validate, deduplicate, make the round trip."""
