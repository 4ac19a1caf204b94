"""Print text that comes from data: it cannot control the terminal, and no character that a console lacks ends a command."""
