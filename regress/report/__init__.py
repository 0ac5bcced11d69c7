"""A study's outcome and its renderers."""
