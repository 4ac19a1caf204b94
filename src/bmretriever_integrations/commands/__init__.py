"""Define the commands. Each command has a module with its arguments and the function that runs it."""
