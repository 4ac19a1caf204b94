"""Where an index is: a folder, or a place on an object store."""
