"""A paged engine's block tables, free lists and prefix cache around plans that choose blocks or rows."""
