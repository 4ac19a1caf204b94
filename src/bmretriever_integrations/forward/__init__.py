"""Run the network on batches of token ids and return the last token's state of each row. Each way to run it has a module."""
