"""The sign-in and sign-up pages: plain forms that carry their own transaction."""

from __future__ import annotations

import pytest

from local_authority.attempts import LIMIT, WINDOW_SECONDS
from tests.world.authority import (
    ADA,
    GRACE,
    LocalAuthority,
    SignInBrowser,
    authorization_url,
    claims_of,
    response_parameters,
)
from tests.world.clock import MovableClock
from tests.world.forms import Page


async def test_the_page_allows_its_form_to_lead_to_the_client_and_nothing_else(
    authority: LocalAuthority, browser: SignInBrowser
) -> None:
    """form-action names the redirect URI's origin, which Chromium needs to follow the redirect; no script may run."""
    response = await browser.get(authorization_url(authority))
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))

    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "form-action": "'self' http://localhost:3000",
    }
    assert "<script" not in response.text
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("prompt", "inputs"), [("login", {"email", "password"}), ("create", {"email", "name", "password"})]
)
async def test_each_input_has_a_label_and_says_what_it_is(
    authority: LocalAuthority, browser: SignInBrowser, prompt: str, inputs: set[str]
) -> None:
    """Every visible input has a label and an autocomplete value that a password manager understands."""
    response = await browser.get(authorization_url(authority, prompt=prompt))
    page = Page.of(response.text)

    assert page.inputs.keys() == inputs | {"transaction"}
    assert all(f'<label for="{name}">' in response.text for name in inputs)
    assert page.inputs["email"]["autocomplete"] == "username"
    assert page.inputs["password"]["autocomplete"] == ("new-password" if prompt == "create" else "current-password")


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [
        ("", "", "email"),
        ("no-address", "x", "email"),
        (ADA.email, "", "password"),
        (ADA.email, "wrong-password", "form"),
        ("nobody@example.com", ADA.password, "form"),
        (ADA.email, GRACE.password, "form"),
    ],
)
async def test_a_refused_sign_in_says_so_and_keeps_the_email(
    authority: LocalAuthority, browser: SignInBrowser, email: str, password: str, field: str
) -> None:
    """A refused form comes back with its email, its faults in words, and without the password."""
    response = await browser.sign_in(authorization_url(authority), email=email, password=password)
    page = Page.of(response.text)

    assert response.status_code == 422
    assert 'role="alert"' in response.text
    assert page.form.fields["email"] == email
    assert page.form.fields["password"] == ""
    if field != "form":
        assert page.inputs[field]["aria-invalid"] == "true"
        assert page.inputs[field]["aria-describedby"] == f"{field}-error"


async def test_an_unknown_email_and_a_wrong_password_read_the_same(
    authority: LocalAuthority, browser: SignInBrowser
) -> None:
    """The sign-in page does not tell who has an account."""
    url = authorization_url(authority)
    wrong = await browser.sign_in(url, email=ADA.email, password="wrong-password")
    unknown = await browser.sign_in(url, email="xda@example.com", password="wrong-password")

    assert "The email or the password is not right." in wrong.text
    assert Page.of(wrong.text).inputs.keys() == Page.of(unknown.text).inputs.keys()
    assert "The email or the password is not right." in unknown.text


@pytest.mark.parametrize("email", ["ADA@Example.COM", "  ada@example.com ", "Ada@example.com"])
async def test_emails_are_compared_without_case(authority: LocalAuthority, browser: SignInBrowser, email: str) -> None:
    """An email is the same in any case and with blanks around it."""
    assert response_parameters(await browser.sign_in(authorization_url(authority), email=email))["code"]


async def test_whoever_signs_up_is_signed_in_and_can_sign_in_again(
    authority: LocalAuthority, browser: SignInBrowser
) -> None:
    """Sign-up answers with a code, and the password works from then on."""
    url = authorization_url(authority)
    first = await browser.sign_up(url, email="Mary@Example.com", name="Mary Jackson", password="wind-tunnel-1958")
    later = await authority.browser().sign_in(url, email="mary@example.com", password="wind-tunnel-1958")

    assert response_parameters(first)["code"]
    assert response_parameters(later)["code"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "ADA@example.com"),
        ("email", "nope"),
        ("email", "a@b"),
        ("email", f"{'x' * 250}@example.com"),
        ("name", ""),
        ("name", "   "),
        ("name", "x" * 101),
        ("name", "a\x07b"),
        ("password", "seven77"),
        ("password", "x" * 257),
    ],
)
async def test_a_refused_sign_up_names_the_field_and_keeps_the_rest(
    authority: LocalAuthority, browser: SignInBrowser, field: str, value: str
) -> None:
    """Each fault is shown by its field, what was typed stays, and nobody was made."""
    typed = {"email": "mary@example.com", "name": "Mary", "password": "wind-tunnel-1958", field: value}
    response = await browser.sign_up(authorization_url(authority), **typed)
    page = Page.of(response.text)

    assert response.status_code == 422
    assert [name for name, given in page.inputs.items() if given.get("aria-invalid")] == [field]
    assert page.form.fields["email"] == typed["email"]
    assert page.form.fields["password"] == ""


async def test_an_existing_email_says_so(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """A taken email is said to be taken, beside any other fault, and leaves its owner's password alone."""
    url = authorization_url(authority, prompt="create")
    taken = await browser.sign_up(url, email=ADA.email.upper(), name="Not Ada", password="another-password")
    both = await browser.sign_up(url, email=ADA.email, name="Not Ada", password="short")

    assert "An account with this email exists. Sign in instead." in taken.text
    wrong = [name for name, given in Page.of(both.text).inputs.items() if given.get("aria-invalid")]
    assert wrong == ["email", "password"]
    assert response_parameters(await browser.sign_in(authorization_url(authority)))["code"]


async def test_the_pages_link_to_each_other_with_the_transaction(
    authority: LocalAuthority, browser: SignInBrowser
) -> None:
    """From sign-in to sign-up and back, the request stays the same one."""
    page = await browser.get(authorization_url(authority, state="kept"))
    sign_up = await browser.get(authority.options.origin + Page.of(page.text).links["Create an account"])
    sign_in = await browser.get(authority.options.origin + Page.of(sign_up.text).links["Sign in"])
    response = await browser.fill(sign_in, email=ADA.email, password=ADA.password)

    assert "Create an account</h1>" in sign_up.text
    assert response_parameters(response)["state"] == "kept"


async def test_any_number_of_tabs_can_be_open(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """Each form answers its own request, in whatever order the tabs are used, as different people even."""
    pages = [await browser.get(authorization_url(authority, state=f"tab-{n}")) for n in range(10)]
    people = [ADA, GRACE] * 5
    answers = [
        response_parameters(await browser.fill(page, email=person.email, password=person.password))
        for page, person in reversed(list(zip(pages, people, strict=True)))
    ]

    assert [answer["state"] for answer in answers] == [f"tab-{n}" for n in reversed(range(10))]
    assert len({answer["code"] for answer in answers}) == 10


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:3003"},
    ],
)
async def test_another_sites_post_is_refused(
    authority: LocalAuthority, browser: SignInBrowser, headers: dict[str, str]
) -> None:
    """A form that another site posts signs nobody in, though it carries everything else."""
    form = Page.of((await browser.get(authorization_url(authority))).text).form
    filled = form.filled(email=ADA.email, password=ADA.password)
    response = await browser.submit(authority.options.origin + form.action, filled, **headers)

    assert response.status_code == 403
    assert "location" not in response.headers


async def test_a_transaction_belongs_to_one_browser(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """A form taken from another browser is refused: nobody is signed in to an attacker's request."""
    form = Page.of((await browser.get(authorization_url(authority))).text).form
    victim = authority.browser()
    await victim.get(authorization_url(authority))
    filled = form.filled(email=ADA.email, password=ADA.password)

    for other in (victim, authority.browser()):
        response = await other.submit(authority.options.origin + form.action, filled)
        assert response.status_code == 403


@pytest.mark.parametrize("spoil", ["", "x", ".", "payload", "signature", "é.é"])
async def test_a_changed_transaction_is_refused(authority: LocalAuthority, browser: SignInBrowser, spoil: str) -> None:
    """Not one character of a transaction can be changed."""
    form = Page.of((await browser.get(authorization_url(authority))).text).form
    payload, _, signature = form.fields["transaction"].partition(".")
    changed = {"payload": f"{payload[:-2]}AA.{signature}", "signature": f"{payload}.{signature[:-2]}AA"}
    filled = form.filled(email=ADA.email, password=ADA.password, transaction=changed.get(spoil, spoil))
    response = await browser.submit(authority.options.origin + form.action, filled)

    assert response.status_code == 403


async def test_a_transaction_expires(authority: LocalAuthority, browser: SignInBrowser, clock: MovableClock) -> None:
    """A page that was left open for more than an hour says so."""
    page = await browser.get(authorization_url(authority))
    clock.advance(3_601)
    response = await browser.fill(page, email=ADA.email, password=ADA.password)

    assert response.status_code == 403
    assert "expired" in response.text


async def test_passwords_cannot_be_guessed_at_leisure(
    authority: LocalAuthority, browser: SignInBrowser, clock: MovableClock
) -> None:
    """After ten failures in five minutes even the right password is refused: for that email, and for a while."""
    url = authorization_url(authority)
    for _ in range(LIMIT):
        assert (await browser.sign_in(url, email="ADA@example.com", password="guess")).status_code == 422

    refused = await browser.sign_in(url)
    assert refused.status_code == 429
    assert "Too many attempts" in refused.text
    assert response_parameters(await browser.sign_in(url, email=GRACE.email, password=GRACE.password))["code"]

    clock.advance(WINDOW_SECONDS + 1)
    assert response_parameters(await authority.browser().sign_in(url))["code"]


async def test_a_success_forgets_the_failures(authority: LocalAuthority) -> None:
    """Whoever gets in starts counting anew."""
    url = authorization_url(authority)
    for _ in range(2):
        for _ in range(LIMIT - 1):
            await authority.browser().sign_in(url, password="guess")
        assert response_parameters(await authority.browser().sign_in(url))["code"]


async def test_login_hint_fills_in_the_email(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """login_hint is typed in already, as an email or as the claim of an ID token; anything else is not shown."""
    shown = []
    claim = str(claims_of((await authority.signed_in())["id_token"])["login_hint"])
    for hint in ("someone@example.com", claim, "<b>text</b>"):
        page = await browser.get(authorization_url(authority, login_hint=hint))
        shown.append(Page.of(page.text).form.fields["email"])

    assert shown == ["someone@example.com", ADA.email, ""]


async def test_the_cookies_are_the_servers_alone(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """Its cookies are HttpOnly, Lax, below the tenant's path, and named after the port that cookies do not know."""
    response = await browser.sign_in(authorization_url(authority))
    cookie = response.headers["set-cookie"]

    assert cookie.startswith("local-authority-3002-session=")
    assert f"Path=/{authority.options.tenant_id}/" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie


async def test_on_https_the_cookies_are_secure() -> None:
    """Where the endpoints are https, cookies are Secure."""
    authority = LocalAuthority(base_url="https://authority.test")
    response = await authority.browser().sign_in(authorization_url(authority))

    assert "Secure" in response.headers["set-cookie"]


@pytest.mark.parametrize("name", ["style.css", "continue.js", "submit.js"])
async def test_the_files_of_the_pages_are_served(authority: LocalAuthority, browser: SignInBrowser, name: str) -> None:
    """Style and scripts come from here, typed, and from no other place."""
    response = await browser.get(f"{authority.options.origin}/static/{name}")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/")


async def test_other_addresses_are_a_page(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """An unknown address or file is a page of ours with 404."""
    for path in ("/nothing", "/static/app.py", "/static/..%2fapp.py"):
        response = await browser.get(f"{authority.options.origin}{path}")
        assert response.status_code == 404
        assert "There is nothing here" in response.text


async def test_the_front_door_says_what_this_is(authority: LocalAuthority, browser: SignInBrowser) -> None:
    """Whoever opens the address reads that it is for development, and nobody's password."""
    response = await browser.get(f"{authority.options.origin}/")

    assert "for development" in response.text
    assert ADA.password not in response.text
