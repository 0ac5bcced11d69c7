"""Named values of a study, such as losses: frozen dataclasses, written as one line of text."""
