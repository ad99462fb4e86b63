"""``response_mode=form_post``: the response arrives as a cross-site POST, and the code stays out of every address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world.house import ADA, House, opened_house


@pytest.fixture
async def posting(tmp_path: Path) -> AsyncIterator[House]:
    """A house whose responses come as forms."""
    async with opened_house(tmp_path, settings={"authority": {"response_mode": "form_post"}}) as running:
        yield running


@pytest.mark.req("C-03")
async def test_a_posted_response_is_a_sign_in(posting: House) -> None:
    """The transaction's cookie is SameSite=None, so it comes along with the POST that the authority's page submits."""
    tab = posting.browser().tab()
    await posting.begin(tab, "/bff/login?return_to=/todos")
    visit = await tab.submit(email=ADA.email, password=ADA.password)
    assert (visit.heading, visit.forms[0].action) == ("One moment", posting.url("/bff/callback"))
    landed = await tab.submit()
    assert landed.url == posting.url("/todos")
    assert (await posting.user(tab))["authenticated"] is True


@pytest.mark.req("BCP-17", "BCP-13")
async def test_nothing_posted_is_sent_on(posting: House) -> None:
    """The callback answers 303, so the code goes no further; it is in no address that the browser visited."""
    tab = posting.browser().tab()
    await posting.begin(tab)
    visit = await tab.submit(email=ADA.email, password=ADA.password)
    code = visit.forms[0].fields["code"]
    await tab.submit()
    callback = next(one for one in posting.internet.to(posting.origin, "POST") if "/bff/callback" in one.url)
    assert callback.response.status_code == 303
    assert not [url for _, url in posting.internet.requests if code in url]


@pytest.mark.req("F23", "F25")
async def test_only_the_transaction_travels_cross_site(posting: House) -> None:
    """The POST carries no session cookie, and SameSite=None is Secure even on a loopback address."""
    tab = posting.browser().tab()
    await posting.sign_in(tab)
    await tab.submit()
    await posting.begin(tab, "/bff/login?prompt=login")
    await tab.submit(email=ADA.email, password=ADA.password)
    [transaction] = [one for one in tab.browser.cookies.values() if "-tx-" in one.name]
    assert (transaction.same_site, transaction.secure, transaction.http_only) == ("none", True, True)
    await tab.submit()
    posted = [one for one in posting.internet.to(posting.origin, "POST") if "/bff/callback" in one.url][-1]
    [cookies] = posted.sent("cookie")
    assert [pair.partition(b"=")[0].decode() for pair in cookies.split(b"; ") if pair.startswith(b"bff-")] == [
        transaction.name
    ]


async def test_a_posted_refusal_has_its_page(posting: House) -> None:
    """Cancel works as it does with a redirect."""
    tab = posting.browser().tab()
    await posting.begin(tab)
    await tab.submit(_button="action=cancel")
    assert (await tab.submit()).heading == "You cancelled"


@pytest.mark.req("ATK-8", "OA-1")
@pytest.mark.parametrize(
    "body", [b"state=a&state=b&code=c", b"code=c&code=d&state=a", b"\xff\xfe", b"state=" + b"a" * 17_000]
)
async def test_a_form_that_is_none_is_refused(posting: House, body: bytes) -> None:
    """Repeated parameters, broken encodings and forms of more than 16 KiB are refused before anything is asked."""
    kind = ("content-type", "application/x-www-form-urlencoded")
    response = await posting.sends("/bff/callback", kind, method="POST", body=body)
    assert response.status_code == 400
    assert posting.record.token_calls.total() == 0
