"""Find out which of the known mistakes made given vectors, by computing what each mistake makes of the same texts."""
