"""Measure BM25 and models on tasks in BEIR's format, and report the results as a table, as JSON and as a chart."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDED = {"bm25s": "bm25s", "ir_measures": "ir-measures", "matplotlib": "matplotlib", "Stemmer": "PyStemmer"}

_missing = [package for module, package in _NEEDED.items() if find_spec(module) is None]
if _missing:
    raise ImportError(
        f'evaluation needs {", ".join(_missing)}, not installed here: pip install "bmretriever-integrations[evaluation]"'
    )
