"""Embeddings as clients of text-embeddings-inference ask for them."""
