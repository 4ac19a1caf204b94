"""
Training stages 1 and 2: pairs and a base model -> a checkpoint.

``settings`` holds what can be set, and ``recipe`` reads it from YAML; ``data`` turns pairs into rows, ``sampler`` rows into
batches and ``collator`` a batch into token ids; ``network`` turns ids into vectors and ``loss`` vectors into a number;
``trainer`` adapts the trainer of sentence-transformers to them; ``run`` calls them in order. Extra: ``train``.
"""
