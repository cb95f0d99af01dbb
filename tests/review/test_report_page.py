"""The page of a report in a real browser: it stands by itself, shows every plot, and is read by anyone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

# Of an element its colour on its background, as the ratio of luminances of WCAG 2.
_CONTRAST = """(selector) => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour)
      .map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ink = light(getComputedStyle(document.querySelector(selector)).color);
  const page = light(getComputedStyle(document.body).backgroundColor);
  return (Math.max(ink, page) + .05) / (Math.min(ink, page) + .05);
}"""
# Plots without a drawn mark that is seen.
_EMPTY = """() => [...document.querySelectorAll('figure')].filter(figure =>
  ![...figure.querySelectorAll('svg .role-mark path')].some(mark => {
    const box = mark.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && getComputedStyle(mark).fill !== 'none';
  })).map(figure => figure.id)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.fail(
            "Chromium is not installed, in which the report's page is tested: apt-get install -y chromium"
        )
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser: Browser, report_folder: Path) -> Iterator[Page]:
    """The page, opened from its file; nothing else may be asked for, and nothing complain."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"file://{report_folder}/index.html")
    yield page
    assert complaints == []
    assert set(asked) == {f"file://{report_folder}/index.html"}
    page.close()


def open_details(page: Page) -> None:
    page.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = true })")


def test_the_page_opens_without_network_scripts_or_complaints(opened: Page) -> None:
    assert opened.title() == "Report on " + Path(opened.url.removeprefix("file://")).parents[1].name
    assert opened.locator("script, link, iframe, object, img").count() == 0


def test_every_plot_has_marks_a_title_a_description_and_a_table(opened: Page) -> None:
    figures = opened.locator("figure")
    assert figures.count() > 12
    assert opened.evaluate(_EMPTY) == []
    for figure in figures.all():
        assert figure.locator("figcaption").inner_text()
        drawing = figure.locator("svg")
        for part, attribute in (("title", "aria-labelledby"), ("desc", "aria-describedby")):
            assert (
                drawing.locator(f"#{drawing.get_attribute(attribute)}").evaluate("e => e.localName") == part
            )
        assert drawing.locator(".role-axis-title text").count() == 2  # what is measured, in which unit
        assert figure.locator("details table tbody tr").count() > 0


def test_every_link_leads_somewhere(opened: Page, report_folder: Path) -> None:
    for link in opened.locator("a").all():
        target = link.get_attribute("href") or ""
        if target.startswith("#"):
            assert opened.locator(target).count() == 1
        else:
            assert (report_folder / target).is_file()
    ids = opened.evaluate("() => [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_plots_can_be_read_by_day_and_by_night(opened: Page, scheme: Any) -> None:
    opened.emulate_media(color_scheme=scheme)
    for selector in ("p", "a", ".soft", "th", "figure p", "svg text"):
        assert opened.evaluate(_CONTRAST, selector) >= 4.5, selector


def test_plots_take_their_colours_from_the_scheme(opened: Page) -> None:
    fill = "() => getComputedStyle(document.querySelector('#fates svg .role-mark path')).fill"
    by_day = opened.evaluate(fill)
    opened.emulate_media(color_scheme="dark")
    assert opened.evaluate(fill) != by_day


def test_on_a_phone_nothing_is_wider_than_the_screen(opened: Page) -> None:
    opened.set_viewport_size({"width": 390, "height": 844})
    open_details(opened)
    assert opened.evaluate("() => document.documentElement.scrollWidth") == 390


def test_it_can_be_used_by_keyboard(opened: Page) -> None:
    opened.keyboard.press("Tab")
    opened.keyboard.press("Enter")
    assert opened.evaluate("() => location.hash") == "#overview"
    summary = opened.locator("#fates summary")
    summary.focus()
    opened.keyboard.press("Enter")
    assert opened.locator("#fates details[open]").count() == 1


def test_on_paper_there_is_no_navigation(opened: Page) -> None:
    opened.emulate_media(media="print")
    assert not opened.locator("nav").is_visible()
    assert opened.locator("h1").is_visible()


def test_what_a_document_holds_is_shown_and_not_done(opened: Page) -> None:
    open_details(opened)
    assert opened.evaluate("() => window.hacked") is None
    shown = opened.locator("#run-1 pre").filter(has_text="window.hacked").first.inner_text()
    assert "<script>window.hacked = 1</script>" in shown
    assert "␛[31mred ␀␇ ⟨U+202E⟩gnp.exe" in shown
    assert opened.locator("#run-1 h4").filter(has_text='evil.example/">').is_visible()
    hebrew = opened.locator("#run-1 pre").filter(has_text="שלום").first
    assert hebrew.evaluate("e => getComputedStyle(e).unicodeBidi") == "plaintext"
    assert hebrew.evaluate("e => e.matches(':dir(rtl)')")
