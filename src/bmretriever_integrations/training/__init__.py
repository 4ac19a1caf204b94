"""Functions of the training recipe. What one runs is in the repository's ``training/`` folder. Extra: ``train``."""
