"""Base models to train from, made of an installed package's weights and the training texts."""
