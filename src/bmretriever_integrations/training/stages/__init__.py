"""
Training stages 1 and 2: pairs and a base model go in, a checkpoint comes out.

``settings`` says what can be set and ``recipe`` reads it from YAML; ``data`` turns pairs into rows, ``sampler`` rows into batches
and ``collator`` a batch into token ids; ``network`` turns ids into vectors and ``loss`` vectors into a number; ``trainer`` puts
these on the trainer of sentence-transformers; ``run`` is the order of them all. Extra: ``train``.
"""
