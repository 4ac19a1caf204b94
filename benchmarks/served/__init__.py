"""What is measured of the server, and beside what: ``python -m benchmarks.served``."""
