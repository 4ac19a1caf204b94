"""Embeddings as clients of OpenAI ask for them."""
