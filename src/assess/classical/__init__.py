"""Classical item analysis: difficulty, discrimination, distractors, reliability, speed.

Nothing here knows theta. A person's score is the share of the attainable
points on the items that the person was given; with complete data this is the
summed score in another unit, so that every correlation is the usual one, and
with booklets it is still a score that two persons can be compared by.
"""

from __future__ import annotations

from assess.classical.distractors import Distractors, distractors, score_options
from assess.classical.items import FlagRules, ItemAnalysis, item_analysis
from assess.classical.reliability import Reliability, reliability
from assess.classical.speed import Speededness, response_times, speededness

__all__ = [
    "Distractors",
    "FlagRules",
    "ItemAnalysis",
    "Reliability",
    "Speededness",
    "distractors",
    "item_analysis",
    "reliability",
    "response_times",
    "score_options",
    "speededness",
]
