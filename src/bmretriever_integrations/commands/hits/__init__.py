"""Questions that a user asks, and hits as a table for people and on standard output for programs."""
