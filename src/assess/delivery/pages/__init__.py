"""The pages of learners: server-rendered, complete without a script, by keyboard and at any zoom."""

from __future__ import annotations

from fastapi import APIRouter

from assess.delivery.pages import (
    accommodation_pages,
    appeal_pages,
    catalogue_pages,
    claim_pages,
    help_pages,
    own_pages,
    practice_pages,
    session_pages,
    share_pages,
    standards_page,
    waiting_page,
)
from assess.delivery.pages.waiting_page import problem_page

router = APIRouter(include_in_schema=False)
for part in (
    accommodation_pages,
    appeal_pages,
    catalogue_pages,
    claim_pages,
    own_pages,
    practice_pages,
    session_pages,
    share_pages,
    help_pages,
    standards_page,
    waiting_page,
):
    router.include_router(part.router)

__all__ = ["problem_page", "router"]
