"""The steps of a study, and what connects them."""
