"""What the benchmark measures and how: shapes, texts, contenders, rounds, results. ``benchmarks/run.py`` runs it."""
