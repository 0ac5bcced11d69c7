"""A study's outcome: typed records, their tables, and renderers of the tables."""
