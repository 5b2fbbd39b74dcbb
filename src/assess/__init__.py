"""From an item bank to a decision that can be defended."""

__version__ = "0.1.0"
