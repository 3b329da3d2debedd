"""Log signatures: one file a theme, each a table of declarations; `table.py` lists them all."""
