"""From a question to its hits: by vectors, by words, or by both."""
