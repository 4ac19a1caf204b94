"""Find, build and read the evaluation tasks: data sets with documents, queries and judgements."""
