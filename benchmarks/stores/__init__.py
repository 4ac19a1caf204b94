"""Our index beside the stores that a user would otherwise take, on the same vectors. ``python -m benchmarks.stores`` runs it."""
