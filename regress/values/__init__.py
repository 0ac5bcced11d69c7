"""Values that are a frozen dataclass inside and one line of text outside."""
