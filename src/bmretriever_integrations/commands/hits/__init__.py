"""Hits of a search as a table for people and as lines for programs."""
