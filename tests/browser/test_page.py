"""The page in a real browser, on the real stack. What takes longer is in `long_*.py`, for `make browser`."""

from playwright.sync_api import expect

from tests.support.browser.axe import found_by_axe
from tests.support.browser.faults import Faults, NewPage
from tests.support.browser.stack import KEY


def test_whoever_has_a_key_signs_in_and_stays_so(new_page: NewPage, faults: Faults) -> None:
    page = new_page(signed_in=False)
    heading = page.get_by_role("heading", name="Sign in")
    expect(heading).to_be_visible()
    expect(page.get_by_label("API key")).to_be_focused()
    assert found_by_axe(page) == []
    assert faults.found == []
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    expect(heading).to_be_hidden()
    # No script can read it.
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])").find(KEY) < 0
    page.reload()
    expect(page.get_by_role("main")).not_to_be_empty()
    expect(heading).to_be_hidden()


def test_a_wrong_key_is_said_to_be_one(new_page: NewPage) -> None:
    page = new_page(signed_in=False)
    page.get_by_label("API key").fill(KEY[:-1])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    expect(page.get_by_label("API key")).to_be_focused()


def test_what_the_page_is_sent_with_keeps_others_out(new_page: NewPage) -> None:
    page = new_page()
    answer = page.request.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    blocked = page.evaluate(
        """async () => {
          const blocked = [];
          document.addEventListener('securitypolicyviolation', (event) => blocked.push(event.effectiveDirective));
          const script = document.createElement('script');
          script.textContent = 'window.ran = true';
          document.body.append(script);
          const style = document.createElement('style');
          style.textContent = 'body { color: red }';
          document.head.append(style);
          await fetch('http://127.0.0.2:1/').catch(() => undefined);
          await new Promise((resolve) => setTimeout(resolve));
          return [window.ran === undefined, ...blocked.sort()];
        }"""
    )
    assert blocked == [True, "connect-src", "script-src-elem", "style-src-elem"]
