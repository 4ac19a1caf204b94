"""From filters of any kind to one condition in LanceDB's SQL."""
