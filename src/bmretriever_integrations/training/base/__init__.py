"""A base model to train from, made of what is on this machine."""
