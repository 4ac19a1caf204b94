def print_tables(p): print(p)
