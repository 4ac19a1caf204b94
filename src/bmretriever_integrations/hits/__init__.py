"""Hits for readers and programs: the facts of a hit, what to say beside the hits, and hits as RIS, CSV and JSON."""
