"""What every page shares: templates in three languages, cookies, tokens of forms, and pages for errors."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from assess.delivery.pages.language import CODES, Language, choose, direction_of, language
from assess.delivery.schemas import Problem
from assess.errors import Forbidden

_DELIVERY = Path(__file__).resolve().parent.parent
LANGUAGE_COOKIE = "assess_language"
VISIT_COOKIE = "assess_visit"
SESSION_COOKIE = "assess_session"
LEARNER_COOKIE = "assess_learner"
SIGN_IN_COOKIE = "assess_sign_in"
PLACE_COOKIE = "assess_place"
WEEK = 7 * 24 * 3600
_YEAR = 365 * 24 * 3600
_OF_A_SESSION = re.compile(r"/s/ses_[a-z2-7]{20}(?=/|$)")


@cache
def environment(code: str) -> Environment:
    """The templates with the words of one language."""
    words = language(code)
    made = Environment(
        loader=FileSystemLoader(_DELIVERY / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(words.gettext, words.ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.globals |= {
        "language": words,
        "languages": [language(other) for other in CODES],
        "direction_of": direction_of,
        "static": static_address,
    }
    return made


@cache
def static_address(name: str) -> str:
    """The address of a static file, with a mark that changes when its content does."""
    mark = hashlib.sha256((_DELIVERY / "static" / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?v={mark}"


async def read_form(request: Request) -> FormData:
    """The fields of a posted form; no form of ours sends a file."""
    return await request.form(max_files=0, max_fields=200)


def form_text(form: FormData, name: str) -> str:
    """A field as text; empty where there is none."""
    value = form.get(name)
    return value if isinstance(value, str) else ""


def whole(text: str) -> int:
    """The number that a field or an address says; 0 where it says none that a page could mean.

    Examples
    --------
    >>> whole("12"), whole("-1"), whole("²"), whole("9" * 5000)
    (12, 0, 0, 0)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page: its language, its tenant's words, and the secret that binds its forms.

    `secret` is a cookie that scripts and other sites cannot read; the token of
    a form is a keyed hash under it, so that only a page of ours can hold one.
    """

    request: Request
    language: Language
    tenant_title: str
    demo: bool
    secret: str = field(repr=False)
    new_cookies: dict[str, str] = field(default_factory=dict)

    @property
    def fragment(self) -> bool:
        """Whether the script asks for the middle of the page only."""
        return self.request.headers.get("x-fragment") == "1"

    @property
    def path(self) -> str:
        """The path asked for, as an address of this site: two slashes at its start would name another one."""
        return "/" + self.request.url.path.lstrip("/\\")

    @property
    def request_id(self) -> str:
        """The id under which this request stands in the log."""
        found: str = self.request.scope.get("state", {}).get("request_id", "")
        return found

    @property
    def session_address(self) -> str:
        """The address of the session that this page belongs to; empty outside one."""
        inside = _OF_A_SESSION.match(self.path)
        return inside[0] if inside else ""

    @property
    def problem_address(self) -> str:
        """Where a learner says that something went wrong: with their session, where the page is of one."""
        return f"{self.session_address}/problem?request={self.request_id}"

    def form_token(self) -> str:
        """The hidden field of a form, another one for every page.

        Pages are compressed and repeat parts of their address, so a constant
        could be guessed letter by letter from their lengths.
        """
        salt = secrets.token_hex(8)
        return f"{salt}.{self._keyed(salt)}"

    def _keyed(self, salt: str) -> str:
        return hmac.new(self.secret.encode(), f"assess form {salt}".encode(), hashlib.sha256).hexdigest()

    def check(self, form: FormData) -> None:
        """Refuse a form that did not come from one of our pages.

        Raises
        ------
        Forbidden
            Another site sent it, or the page is older than the cookie it was made with.
        """
        salt, _, given = form_text(form, "csrf").partition(".")
        foreign = self.request.headers.get("sec-fetch-site") == "cross-site"
        if foreign or not hmac.compare_digest(given.encode(), self._keyed(salt).encode()):
            raise Forbidden(
                "this form did not come from a page of this visit; load the page again", code="form_stale"
            )

    def render(
        self, template: str, *, status: int = 200, address: str | None = None, **values: Any
    ) -> Response:
        """A page, or its middle for the script."""
        found = environment(self.language.code).get_template(template)
        # The script swaps an item for what follows in its place; any other page it loads as a whole.
        fragment = self.fragment and template in ("item.html", "opened.html")
        query = {key: value for key, value in self.request.query_params.items() if key != "token"}
        markup = found.render(
            layout="fragment.html" if fragment else "base.html",
            tenant_title=self.tenant_title,
            demo=self.demo,
            path=self.path,
            with_language=lambda code: self.path + "?" + urlencode({**query, "lang": code}),
            csrf=self.form_token(),
            problem_address=self.problem_address,
            **values,
        )
        response = HTMLResponse(markup, status_code=status)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Vary"] = "Cookie, Accept-Language, X-Fragment"
        if fragment:
            response.headers["X-Fragment"] = "1"
            response.headers["X-Address"] = address or self.path
        return self.with_cookies(response)

    def onward(self, address: str) -> Response:
        """After an item's form: another page, which the script then loads itself.

        A browser would follow a redirect within the script's own request, and
        keep the receipt that came with it from the script.
        """
        if not self.fragment:
            return self.redirect(address)
        headers = {"X-Go": address, "Cache-Control": "no-store"}
        return self.with_cookies(Response(headers=headers))

    def redirect(self, address: str) -> Response:
        """After a form: see there."""
        return self.with_cookies(
            RedirectResponse(address, status_code=303, headers={"Cache-Control": "no-store"})
        )

    def with_cookies(self, response: Response) -> Response:
        """The response with the cookies that this visit began."""
        for name, value in self.new_cookies.items():
            self.set_cookie(response, name, value, max_age=_YEAR if name == LANGUAGE_COOKIE else None)
        return response

    def drop_cookie(self, response: Response, name: str, *, path: str = "/") -> None:
        """End a cookie of this site."""
        self.set_cookie(response, name, "", path=path, max_age=0)

    def set_cookie(
        self, response: Response, name: str, value: str, *, path: str = "/", max_age: int | None = None
    ) -> None:
        """A cookie that no script reads and no other site sends."""
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path=path,
            httponly=True,
            samesite="lax",
            secure=bool(self.request.app.state.services.settings.secure_cookies),
        )


def begin_visit(
    request: Request, *, tenant_title: str, demo: bool, secret_cookie: str = VISIT_COOKIE
) -> Visit:
    """The visit of a request; a visitor without a secret gets one."""
    asked = request.query_params.get("lang")
    kept = request.cookies.get(LANGUAGE_COOKIE)
    code = choose(asked, kept, request.headers.get("accept-language"))
    cookies: dict[str, str] = {}
    if asked in CODES and asked != kept:
        cookies[LANGUAGE_COOKIE] = code
    secret = request.cookies.get(secret_cookie, "")
    if not secret:
        secret = secrets.token_urlsafe(24)
        cookies[VISIT_COOKIE] = secret
    return Visit(request, language(code), tenant_title, demo, secret, cookies)


def opened_elsewhere(
    visit: Visit,
    *,
    way: tuple[str, str] | None = None,
    answer: str = "",
    typed: str = "",
    status: int = 409,
) -> Response:
    """The page of a window that is no longer in use.

    Parameters
    ----------
    way : tuple of str, optional
        Where the learner goes to get in again, and its name, where this browser may not simply go on.
    answer : str
        What became of what the window sent.
    """
    session = visit.session_address
    response = visit.render(
        "opened.html", status=status, address=session, onward=session, way=way, answer=answer, typed=typed
    )
    # What was refused is the window: the answer itself may still go out from another one.
    response.headers["X-Left-Behind"] = "1"
    return response


def error_page(visit: Visit, found: Problem) -> Response:
    """What went wrong and what to do, in a learner's words."""
    if found.code == "stale_session" and visit.session_address:
        return opened_elsewhere(visit)
    _ = visit.language.gettext
    again = [(visit.path, _("Load the page again"))]
    kept = _("Every answer that was stored is still there.")
    actions = [("/", _("See the courses"))]
    if found.code == "session_unknown":
        heading = _("This assessment is not open here")
        told = _("Open it with the link that you were given, in the browser in which you began.")
        sentences = [told, kept]
    elif found.status == 404:
        heading = _("This page is not here")
        sentences = [_("Perhaps the address is mistyped, or the page has moved.")]
    elif found.status == 401:
        heading = _("We do not know you here yet")
        sentences = [_("Open the assessment with the link that you were given."), kept]
        actions = [("/sign-in", _("Sign in with a code")), *actions]
    elif found.code == "session_void":
        heading = _("This assessment does not count")
        sentences = [
            _("It was declared void, and your try was given back. Nothing of it is held against you."),
            _("The page of the course says what you can do. Your organisation can tell you why."),
        ]
    elif found.code == "role_not_allowed":
        heading = _("This cannot be begun here")
        sentences = [_("To begin, ask your organisation for your own link.")]
    elif found.status == 403:
        heading, actions = _("This form is too old"), again
        sentences = [_("Nothing was changed. Load the page again and send the form once more."), kept]
    elif found.status == 413:
        heading, actions = _("This was too much to take"), again
        sentences = [_("Shorten your answer and send it again."), kept]
    elif found.code == "overloaded":
        heading, actions = _("Very many people are here at this moment"), again
        sentences = [_("Nothing was stored. Wait a moment and try again."), kept]
    elif found.code == "outcome_unknown":
        heading, actions = _("We do not know yet whether this was stored"), again
        sentences = [
            _(
                "Your answer may or may not be stored. Wait a minute and send it again; "
                "an answer is never stored twice."
            )
        ]
    elif found.status == 503:
        heading, actions = _("We cannot store anything at the moment"), again
        sentences = [_("Your answer was not stored yet. Wait a minute and send it again.")]
    else:
        heading, actions = _("Something went wrong here"), again
        told = _("It is not your fault. If it happens again, tell your organisation this number: %(n)s")
        sentences = [told % {"n": found.request_id}, kept]
    return visit.render(
        "error.html", status=found.status, heading=heading, sentences=sentences, actions=actions
    )
