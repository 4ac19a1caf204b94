"""Records and hits as Haystack's Documents and LlamaIndex's nodes. A framework is imported when its function is called."""
