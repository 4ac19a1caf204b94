"""Functions of the training recipe; its scripts are in the repository's ``training/`` folder. Extra: ``train``."""
