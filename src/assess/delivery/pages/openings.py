"""A session that is open in more than one window: which one is in use, and what the others say.

A window holds the fence of its opening: in the hidden field of its forms, and
in the addresses that it goes on to, so that all of this works without a script.
"""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request

from assess.delivery.pages.door import Pass
from assess.delivery.pages.shell import whole
from assess.delivery.schemas import SessionView
from assess.delivery.service import fencing
from assess.errors import OpenedElsewhere


async def fence_of(request: Request, entry: Pass, view: SessionView) -> int:
    """The fence of the page that is asked for: the one in its address, or that of a new opening.

    Raises
    ------
    OpenedElsewhere
        The address goes on from a window that is no longer in use.
    """
    given = whole(request.query_params.get("fence", ""))
    if "prefetch" in request.headers.get("sec-purpose", ""):
        # A browser that guesses where its user may go next opens nothing, and puts nobody out of a session.
        return view.fence
    if not given:
        return await fencing.open_page(entry.services, entry.scope, view.session)
    if given != view.fence:
        raise OpenedElsewhere(f"session {view.session} was opened again since fence {given} was taken")
    return given


def address(session: str, fence: int, page: str = "", *, item: int = 0, moved: int = 0) -> str:
    """A page of a session, in the same window; a 0 is left out.

    Examples
    --------
    >>> address("ses_1", 2, "review"), address("ses_1", 2, item=3)
    ('/s/ses_1/review?fence=2', '/s/ses_1?item=3&fence=2')
    """
    query = {"item": item, "moved": moved, "fence": fence}
    found = urlencode({name: value for name, value in query.items() if value})
    return f"/s/{session}{'/' if page else ''}{page}{'?' if found else ''}{found}"
