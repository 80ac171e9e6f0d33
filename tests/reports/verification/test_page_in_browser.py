"""The page in a real browser: it loads, filters, sorts, opens a cell and copies a script; on a phone, in the dark, on paper."""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from verifications import NASTY, whole

from rmspec.impl import CLAUSES
from rmspec.properties.verdict_table import CLAUSE_VERDICTS

pytest.importorskip("matplotlib")
pytest.importorskip("latex2mathml")
webdriver = pytest.importorskip("selenium.webdriver")

from selenium.webdriver.chrome.service import Service  # noqa: E402 - comes with the webdriver
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

from rmspec.reports.verification import page as html_page  # noqa: E402

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="there is no chromium with chromedriver here")

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,900",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (*QUIET, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html_page.render(whole()), "utf-8")
    return path


@pytest.fixture
def page(browser: Any, place: Path) -> Any:
    size(browser, 1280)
    browser.get("about:blank")
    browser.get(place.as_uri())
    return browser


def size(browser: Any, width: int, *, dark: bool = False) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def shown(browser: Any) -> list[str]:
    script = "return [...document.querySelectorAll('#matrix tbody tr:not([hidden])')].map(row => row.dataset.clause)"
    rows: list[str] = browser.execute_script(script)
    return rows


def choose(browser: Any, id: str, value: str) -> None:
    find(browser, f"#{id} option[value='{value}']").click()


def test_it_loads_without_a_request_or_a_complaint(page: Any, place: Path) -> None:
    """The one request is for the file itself; nothing is logged, and no script of the subject's name has run."""
    page.get_log("performance")
    page.refresh()
    events = [json.loads(line["message"])["message"] for line in page.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:")} == {place.as_uri()}
    assert [line for line in page.get_log("browser") if line["level"] in ("WARNING", "SEVERE")] == []
    assert page.title == "RMSprop verification report"
    heads = page.find_elements("css selector", "#matrix thead th")
    assert [each.text.split(" ")[0] for each in heads] == ["clause", "reference", NASTY, "gone:x"]
    assert find(page, "#sentence").is_displayed()


def test_a_script_that_is_smuggled_in_does_not_run(page: Any) -> None:
    """The policy of the page knows its own script alone."""
    page.execute_script(
        "const each = document.createElement('script'); each.textContent = 'window.smuggled = 1'; document.body.append(each)"
    )
    assert page.execute_script("return window.smuggled") is None


def test_clauses_are_filtered(page: Any) -> None:
    """By a word, by verdict, by kind and by subject; and all are back after a reset, what deviates first."""
    worst = {clause["id"]: CLAUSE_VERDICTS.index(clause["verdict"]) for clause in whole()["verification"]["clauses"]}
    gravest_first = sorted(CLAUSES, key=worst.__getitem__)
    assert shown(page) == gravest_first
    find(page, "#by-text").send_keys("eps")
    assert set(shown(page)) == {id for id, c in CLAUSES.items() if "eps" in f"{id} {c.title} {c.text}".lower()}
    assert find(page, "#shown").text.startswith(f"{len(shown(page))} of {len(CLAUSES)}")
    find(page, "#show-all").click()
    assert shown(page) == gravest_first
    choose(page, "by-verdict", "!conforms")
    conforming = {c["id"] for c in whole()["verification"]["clauses"] if set(c["verdicts"]) == {"conforms"}}
    assert set(shown(page)) == set(CLAUSES) - conforming
    choose(page, "by-verdict", "deviates")
    deviating = {each["id"] for each in whole()["verification"]["clauses"] if "deviates" in each["verdicts"]}
    assert set(shown(page)) == deviating != set()
    choose(page, "by-subject", "0")
    assert shown(page) == []
    find(page, "#show-all").click()
    choose(page, "by-kind", "default")
    assert set(shown(page)) == {id for id, clause in CLAUSES.items() if clause.kind == "default"}


def test_clauses_are_sorted(page: Any) -> None:
    """By the head of a column, once up and once down, and by the list of orders."""
    grave = next(each["id"] for each in whole()["verification"]["clauses"] if each["verdicts"][1] == "deviates")
    head = find(page, "#matrix thead th:nth-child(3)")
    head.find_element("css selector", "button").click()
    assert shown(page)[0] == grave
    assert head.get_attribute("aria-sort") == "ascending"
    head.find_element("css selector", "button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert grave in shown(page)[-3:]
    choose(page, "by-order", "clause")
    assert shown(page) == sorted(CLAUSES)
    choose(page, "by-order", "checks")
    checks = {
        id: sum(c["checks"] for s in whole()["subjects"] for c in s["clauses"] if c["id"] == id) for id in CLAUSES
    }
    assert [checks[id] for id in shown(page)] == sorted(checks.values(), reverse=True)


def test_a_cell_opens_its_evidence_and_the_script_is_copied(page: Any) -> None:
    """The script that is copied is the one of the JSON, to the letter."""
    deviation = next(each for each in whole()["subjects"][1]["deviations"] if each["known"] is None)
    page.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    find(page, f"a.cell[href='#e-1-{deviation['clause']}']").click()
    panel = find(page, "#panel")
    assert panel.is_displayed()
    assert NASTY in panel.text
    assert deviation["summary"] in panel.text
    buttons = panel.find_elements("css selector", "button.copy")
    assert len(buttons) == 2
    buttons[1].click()
    WebDriverWait(page, 20).until(lambda _: buttons[1].text != "Copy")
    assert buttons[1].text == "Copied"
    read = "const done = arguments[arguments.length - 1]; navigator.clipboard.readText().then(done, each => done(String(each)));"
    assert page.execute_async_script(read) == deviation["script"]
    find(page, "#close").click()
    assert not panel.is_displayed()


def test_the_keyboard_is_enough(page: Any) -> None:
    """A cell has the focus, Enter opens it, Escape closes it, and the focus is back."""
    page.execute_script("document.querySelector('a.cell').focus()")
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert find(page, "#panel").is_displayed()
    assert page.switch_to.active_element.get_attribute("id") == "close"
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not find(page, "#panel").is_displayed()
    assert "cell" in page.switch_to.active_element.get_attribute("class")


def test_the_pseudocode_leads_to_its_clauses(page: Any) -> None:
    """A clause that was filtered away is shown again; the lines take the colours of one subject."""
    find(page, "#by-text").send_keys("nothing has this")
    assert shown(page) == []
    page.execute_script("document.querySelector('a.chip[href=\"#clause-update\"]').click()")
    page.execute_async_script("setTimeout(arguments[0], 50)")
    assert "update" in shown(page)
    choose(page, "coloured-by", "0")
    lines = page.find_elements("css selector", ".pseudocode li")
    wanted = [each["verdicts"][0] for each in whole()["verification"]["pseudocode"]]
    assert [each.get_attribute("class") for each in lines] == wanted
    assert find(page, ".pseudocode math").size["height"] > 10


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone_and_a_desk_and_can_be_read(page: Any, width: int, dark: bool) -> None:
    """Nothing sticks out of the page, and text stands out from what is behind it (WCAG AA: 4.5 to 1)."""
    size(page, width, dark=dark)
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    poor = page.execute_script(CONTRAST)
    assert poor == []


CONTRAST = """
const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const colour = parse(getComputedStyle(node).backgroundColor);
    if (colour.length && colour[3] !== 0) return colour;
  }
  return [255, 255, 255];
};
const poor = new Set();
for (const node of document.querySelectorAll("p, span, small, a, td, th, li, strong, summary, label, pre, button")) {
  if (!node.textContent.trim() || !node.checkVisibility() || node.closest("svg")) continue;
  const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
  if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) poor.add(`${node.tagName} ${node.className}`);
}
return [...poor];
"""


def test_it_prints(page: Any) -> None:
    """To PDF, with what deviates unfolded, in a bearable number of pages."""
    printed = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert printed.startswith(b"%PDF")
    assert 3 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 60
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    size_of_paper = {"width": 700, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size_of_paper)
    cut = (
        "return [...document.querySelectorAll('table, pre, svg')]"
        ".filter(each => each.checkVisibility() && each.getBoundingClientRect().right > 700)"
    )
    assert [each.get_attribute("outerHTML")[:80] for each in page.execute_script(cut)] == []
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    opened = page.execute_script(
        "dispatchEvent(new Event('beforeprint')); const open = document.querySelectorAll('details.grave[open]').length;"
        "dispatchEvent(new Event('afterprint')); return [open, document.querySelectorAll('details.grave[open]').length]"
    )
    assert opened[0] > 0
    assert opened[1] == 0


def test_without_its_script_the_page_still_tells_all(browser: Any, place: Path) -> None:
    """Where scripts are off, the matrix and all evidence are there, and no control that does nothing."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(place.as_uri())
        assert find(browser, "a.cell").is_displayed()
        assert not find(browser, "#filters").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
