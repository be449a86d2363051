"""The page says all in its HTML, needs nothing else, and answers to pointer, keys and touch."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gpt2_sampler.decoding.score import Place
from gpt2_sampler.seeing.page import entropy, page
from gpt2_sampler.seeing.score import Scored
from tests.seeing import browser

PIECES = ["Once", " upon", "\n", " <b>", "</script>", "<F0 9F>", "<98 80>😀", ' "king" & co']
RANKS = [1, 5, 30, 300, 7000, 2, 101]


def scored(name: str = "a <text>.txt") -> Scored:
    """Each token the likelier the lower its rank; the alternatives are called a2, b2 and so on."""
    places = [
        Place(n, -math.log(rank + 1), rank, tuple((k, -math.log(k + 2)) for k in range(10)))
        for n, rank in enumerate(RANKS, 1)
    ]
    top = [[f"{'abcdefghij'[k]}{n}" for k in range(10)] for n in range(1, len(RANKS) + 1)]
    for looks, rank, piece in zip(top, RANKS, PIECES[1:], strict=True):
        if rank <= 10:
            looks[rank - 1] = piece
    return Scored(name, list(range(len(PIECES))), PIECES, places, top, 40)


PAGE = page([scored()], "my <model>")
BOTH = page([scored(), scored("other")], "117M")


class Outline(HTMLParser):
    """What stands in elements, and which addresses they name."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "action")]
        if tag not in ("meta", "polygon", "polyline", "line"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("polygon", "polyline", "line"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "p" in self.open and "section" in self.open and "aside" not in self.open:
            self.text += data
        if self.open and self.open[-1] == "td":
            self.rows[-1][-1] += data


@pytest.mark.parametrize("html", [PAGE, BOTH])
def test_it_is_one_file_that_fetches_nothing(html: str) -> None:
    assert Outline(html).addresses == []
    assert not re.search(r"https?:|url\(|@import|\bimport\b|fetch\(", html)


def test_text_and_figures_are_there_without_javascript() -> None:
    outline = Outline(PAGE)
    assert outline.text == "".join(PIECES).replace("\n", "↵\n")
    rows = [row for row in outline.rows if row]
    assert [row[1] for row in rows] == [piece.replace("\n", "↵") for piece in PIECES[1:]]
    assert [row[3] for row in rows] == [f"{rank:,}" for rank in RANKS]
    for said in ("3 (42.9%)", "1 (14.3%)", "2 (28.6%)", f"{scored().perplexity:.2f}"):
        assert said in PAGE
    assert re.search(r'role="img" aria-label="Surprise along the text: .*token 6 with 12.8', PAGE)


def test_the_histogram_is_of_the_entropy_of_the_likeliest_tokens() -> None:
    assert entropy([-5.0] * 8) == pytest.approx(3)
    assert entropy([0.0, -math.inf]) == 0
    ten = entropy([-math.log(k + 2) for k in range(10)])
    heights = re.findall(r'<li class="bar" style="height:(\d+)%" title="(.*?) to (.*?) bits', PAGE)
    (filled,) = [(float(low), float(high)) for height, low, high in heights if height != "0"]
    assert len(heights) == 16 and filled[0] <= ten <= filled[1]
    assert f"{ten:.2f} on average" in PAGE


def test_no_text_can_end_the_script_that_holds_it() -> None:
    [data] = re.findall(r'<script type="application/json" id="places">(.*?)</script>', PAGE, re.S)
    assert [place and place[0] for place in json.loads(data)[0]] == [None, *PIECES[1:]]
    assert "<text>" not in PAGE and "<model>" not in PAGE


def test_a_text_of_one_token_has_a_page() -> None:
    alone = Scored("x", [1], ["a"], [], [], 0)
    assert Outline(page([alone], "m")).text == "a"


# In a browser.

needs_browser = pytest.mark.skipif(
    not (browser.BROWSER and browser.DRIVER), reason="there is no chromium with its driver"
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Chrome]:
    with browser.browser(tmp_path_factory.mktemp("profile"), 1200, 1100) as driver:
        yield driver


@pytest.fixture
def opened(chromium: browser.Chrome, tmp_path: Path) -> browser.Chrome:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    chromium.get((tmp_path / "page.html").as_uri())
    return chromium


def said(driver: browser.Chrome) -> str:
    return driver.find_element("css selector", ".choices p").text


def choices(driver: browser.Chrome) -> list[str]:
    rows = driver.find_elements("css selector", ".choices td:first-child")
    return [row.get_attribute("title") or "" for row in rows]


@needs_browser
def test_a_token_that_is_pointed_at_shows_its_alternatives(opened: browser.Chrome) -> None:
    from selenium.webdriver import ActionChains

    tokens = opened.find_elements("css selector", ".token")
    assert len(tokens) == len(PIECES) - 1
    ActionChains(opened).move_to_element(tokens[0]).perform()
    assert said(opened) == "“␣upon”, token 2: 50.0%, rank 1"
    assert choices(opened) == [" upon", *(f"{letter}1" for letter in "bcdefghij")]
    tokens[4].click()
    assert said(opened) == "“<F0 9F>”, token 6: 0.01%, rank 7,000"
    assert choices(opened)[-1] == "<F0 9F>" and len(choices(opened)) == 11
    written = opened.find_elements("css selector", ".choices tr.written")
    assert [row.text.split()[-1] for row in written] == ["0.01%"]


@needs_browser
def test_keys_go_from_token_to_token(opened: browser.Chrome) -> None:
    from selenium.webdriver.common.keys import Keys

    text = opened.find_element("css selector", ".text")
    for key, expected in [
        (Keys.HOME, "token 2:"),
        (Keys.ARROW_LEFT, "token 2:"),
        (Keys.ARROW_RIGHT, "token 3:"),
        (Keys.ARROW_DOWN, "token 5:"),
        (Keys.ARROW_DOWN, "token 6:"),
        (Keys.ARROW_UP, "token 5:"),
        (Keys.END, "token 8:"),
        (Keys.ARROW_RIGHT, "token 8:"),
    ]:
        text.send_keys(key)
        assert expected in said(opened)
        assert len(opened.find_elements("css selector", ".token.here")) == 1
    assert opened.find_element("css selector", ".choices p").get_attribute("aria-live") == "polite"


@needs_browser
def test_the_curve_leads_to_the_token(opened: browser.Chrome) -> None:
    from selenium.webdriver import ActionChains

    plot = opened.find_element("css selector", "svg")
    half = plot.size["width"] // 2
    for offset, expected in [(-half + 1, "token 2:"), (0, "token 5:"), (half - 1, "token 8:")]:
        ActionChains(opened).move_to_element_with_offset(plot, offset, 0).perform()
        assert expected in said(opened)


@needs_browser
def test_the_text_can_be_read_back_and_nothing_is_complained_of(opened: browser.Chrome) -> None:
    text = opened.find_element("css selector", ".text").get_attribute("textContent")
    assert text == "".join(PIECES).replace("\n", "↵\n")
    assert opened.get_log("browser") == []


@needs_browser
def test_each_text_of_several_answers_for_itself(chromium: browser.Chrome, tmp_path: Path) -> None:
    (tmp_path / "both.html").write_text(BOTH, encoding="utf-8")
    chromium.get((tmp_path / "both.html").as_uri())
    first, second = chromium.find_elements("css selector", "section")
    second.find_element("css selector", ".token").click()
    assert "token 2:" in second.find_element("css selector", ".choices p").text
    assert first.find_element("css selector", ".choices p").text == "Point at a token."


def luminance(colour: str) -> float:
    """0 to 1, of a colour as the browser tells it."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", colour)]
    scale = 1 if colour.startswith("color(") else 255
    return sum(n / scale * w for n, w in zip(numbers, (0.2126, 0.7152, 0.0722), strict=False))


@needs_browser
@pytest.mark.parametrize(("dark", "width"), [(False, 1200), (True, 1200), (False, 420)])
def test_it_can_be_read_light_and_dark_and_on_a_telephone(
    dark: bool, width: int, tmp_path: Path
) -> None:
    from selenium.webdriver.common.keys import Keys

    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    with browser.browser(tmp_path / "profile", width, 900, dark=dark) as driver:
        driver.get((tmp_path / "page.html").as_uri())
        ink = driver.find_element("css selector", "body").value_of_css_property("color")
        for token in driver.find_elements("css selector", ".token, body"):
            ground = token.value_of_css_property("background-color")
            assert abs(luminance(ink) - luminance(ground)) > 0.4
            assert (luminance(ink) > luminance(ground)) == dark
        driver.find_element("css selector", ".text").send_keys(Keys.END)
        hidden = (
            "const token = document.querySelector('.here').getBoundingClientRect();"
            "const choices = document.querySelector('.choices').getBoundingClientRect();"
            "return token.bottom > choices.top && token.right > choices.left"
        )
        assert not driver.execute_script(hidden)
        wide = "return document.documentElement.scrollWidth - window.innerWidth"
        assert driver.execute_script(wide) <= 0
        driver.save_screenshot(str(tmp_path / "page.png"))
        assert (tmp_path / "page.png").stat().st_size > 10_000
