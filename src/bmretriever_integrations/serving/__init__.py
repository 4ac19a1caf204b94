"""One process that answers people, programs and agents over HTTP: embeddings, and searches of an index."""
