"""Batch of token ids -> last hidden state -> one vector a row. One module for each way to run the network."""
