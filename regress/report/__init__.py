"""A study's outcome: typed records, their tables, and what renders them."""
