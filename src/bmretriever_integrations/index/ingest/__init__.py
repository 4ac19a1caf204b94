"""From sources to committed rows: read, compare, embed, write; and delete."""
