"""Meaning: frameworks, blueprints, decisions and badge eligibility.

This room knows what a score is worth, and nothing of how it was measured: it
never imports `assess.irt`.
"""
