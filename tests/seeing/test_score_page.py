"""The page says all in its HTML, needs nothing else, and answers to pointer, keys and touch."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from gpt2_sampler.decoding.score import Place
from gpt2_sampler.seeing.score_page import LONG, LONGEST, blocks, cut_up, entropy, page
from gpt2_sampler.seeing.scored import Scored
from tests.seeing import browser
from tests.seeing.axe import AXE, NEEDS_AXE

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
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "action")]
        if tag not in ("meta", "polygon", "polyline", "line"):
            self.open.append("text" if ("dir", "auto") in attrs else tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("polygon", "polyline", "line"):
            assert self.open.pop() in (tag, "text")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "text":
            self.text += data


@pytest.mark.parametrize("html", [PAGE, BOTH])
def test_it_is_one_file_that_fetches_nothing(html: str) -> None:
    assert Outline(html).addresses == []
    assert not re.search(r"https?:|url\(|@import|\bimport\b|fetch\(", html)


def test_text_and_figures_are_there_without_javascript() -> None:
    assert Outline(PAGE).text == "".join(PIECES)
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
    top = [["</script><b>", *looks[1:]] for looks in scored().top]
    html = page([dataclasses.replace(scored(), top=top)], "m")
    [data] = re.findall(r'<script type="application/json" id="places">(.*?)</script>', html, re.S)
    assert "</script><b>" in json.loads(data)["looks"]
    assert "<text>" not in PAGE and "<model>" not in PAGE


def test_texts_of_one_and_of_two_tokens_have_a_page() -> None:
    alone = Scored("x", [1], ["a"], [], [], 0)
    html = page([alone], "m")
    assert Outline(html).text == "a"
    assert "Nothing is scored" in html and "<svg" not in html
    two = Scored("x", [1, 2], ["a", "b"], [Place(2, -1.0, 1, ())], [[]], 1)
    assert len(re.findall(r'<polyline class="curve" points="(.*?) (.*?)"', page([two], "m"))) == 1


def test_names_and_texts_steer_nothing_around_them() -> None:
    turned = page([scored("safe\u202efdp.exe")], "m\u2066")
    assert "\u202e" not in turned and "\u2066" not in turned
    assert "<bdi>safe&lt;U+202E&gt;fdp.exe</bdi>" in turned


def test_a_long_text_takes_less_than_a_hundred_bytes_a_token() -> None:
    rows = 5_000
    one = scored()
    places = [one.places[n % 7] for n in range(rows)]
    pieces = ["Once", *(f" w{n % 700}" for n in range(rows))]
    tops = [[f" t{(n * 7 + k) % 3000}" for k in range(10)] for n in range(rows)]
    html = page([Scored("long", range(rows + 1), pieces, places, tops, 5 * rows)], "m")
    assert len(html.encode()) < 100 * rows
    assert Outline(html).text == "".join(pieces)
    [points] = re.findall(r'<polyline class="curve" points="(.*?)"', html)
    assert len(points.split()) == 1000


@pytest.mark.parametrize(
    ("pieces", "starts"),
    [
        (["a"], [0]),
        (["a" * LONG, "b"], [0]),
        (["a" * LONG, "\n"], [0]),
        (["a" * LONG, "\n", "b"], [0, 2]),
        (["a" * (LONG - 1), "\n", "b"], [0]),
        (["a" * (LONG + 1), "b\n", "c", "d"], [0, 2]),
        (["a" * LONGEST, "b", "c"], [0, 2]),
        (["a" * LONGEST, "b"], [0]),
        (["a" * (LONGEST + 1), "b" * LONGEST, "c" * 2, "d"], [0, 1, 3]),
    ],
)
def test_blocks_end_with_a_line_or_where_they_are_too_long(
    pieces: list[str], starts: list[int]
) -> None:
    assert cut_up(pieces) == starts
    texts = re.findall(r'<div dir="auto">(.*?)</div>', "".join(blocks(pieces, starts)), re.S)
    assert len(texts) == len(starts) and "".join(texts) == "".join(pieces)


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
    return driver.find_element("css selector", ".panel p").text


def choices(driver: browser.Chrome) -> list[str]:
    rows = driver.find_elements("css selector", ".panel tbody bdi")
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
    written = opened.find_elements("css selector", ".panel tr.here")
    assert [row.text.split()[-1] for row in written] == ["0.01%"]


def press(chromium: browser.Chrome, steps: Sequence[tuple[str, str]]) -> None:
    """Presses each key in the text, after which what is said has this in it."""
    text = chromium.find_element("css selector", ".text")
    for key, expected in steps:
        text.send_keys(key)
        assert expected in said(chromium)
        assert len(chromium.find_elements("css selector", ".token.here")) == 1


@needs_browser
def test_keys_go_from_token_to_token(opened: browser.Chrome) -> None:
    steps = [
        (Keys.HOME, "token 2:"),
        (Keys.ARROW_LEFT, "token 2:"),
        (Keys.ARROW_RIGHT, "token 3:"),
        (Keys.ARROW_DOWN, "token 5:"),
        (Keys.ARROW_DOWN, "token 6:"),
        (Keys.ARROW_UP, "token 5:"),
        (Keys.END, "token 8:"),
        (Keys.ARROW_RIGHT, "token 8:"),
    ]
    press(opened, steps)
    assert opened.find_element("css selector", ".panel p").get_attribute("aria-live") == "polite"


@needs_browser
def test_a_first_token_after_a_start_of_text_is_one_as_others(
    chromium: browser.Chrome, tmp_path: Path
) -> None:
    all_scored = dataclasses.replace(scored(), tokens=range(1, 8), pieces=PIECES[1:])
    (tmp_path / "page.html").write_text(page([all_scored], "m"), encoding="utf-8")
    chromium.get((tmp_path / "page.html").as_uri())
    assert len(chromium.find_elements("css selector", ".token")) == len(RANKS)
    steps = [
        (Keys.HOME, "“␣upon”, token 1: 50.0%, rank 1"),
        (Keys.ARROW_LEFT, "token 1:"),
        (Keys.ARROW_DOWN, "token 4:"),
        (Keys.END, "token 7:"),
    ]
    press(chromium, steps)
    chromium.find_element("css selector", "summary").click()
    find = "return document.querySelectorAll('.wide tbody tr').length"
    WebDriverWait(chromium, 5).until(lambda driver: driver.execute_script(find) == len(RANKS))
    assert re.search(
        r'role="img" aria-label="Surprise along the text: .*token 5 with', page([all_scored], "m")
    )


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
    text = opened.find_element("css selector", ".text > div").get_attribute("textContent")
    assert text == "".join(PIECES)
    assert opened.get_log("browser") == []


@needs_browser
def test_each_text_of_several_answers_for_itself(chromium: browser.Chrome, tmp_path: Path) -> None:
    (tmp_path / "both.html").write_text(BOTH, encoding="utf-8")
    chromium.get((tmp_path / "both.html").as_uri())
    first, second = chromium.find_elements("css selector", "section")
    second.find_element("css selector", ".token").click()
    assert "token 2:" in second.find_element("css selector", ".panel p").text
    assert first.find_element("css selector", ".panel p").text == "Point at a token."


def luminance(colour: str) -> float:
    """0 to 1, of a colour as the browser tells it."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", colour)]
    scale = 1 if colour.startswith("color(") else 255
    return sum(n / scale * w for n, w in zip(numbers, (0.2126, 0.7152, 0.0722), strict=False))


@needs_browser
@pytest.mark.parametrize(("dark", "width"), [(False, 1200), (True, 1200), (False, 420)])
def test_it_can_be_read_light_and_dark_and_on_a_telephone(
    dark: bool, width: int, chromium: browser.Chrome, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    driver = chromium
    with browser.Look(driver) as look:
        look.set(width, dark=dark)
        driver.get((tmp_path / "page.html").as_uri())
        ink = driver.find_element("css selector", "body").value_of_css_property("color")
        for token in driver.find_elements("css selector", ".token, body"):
            ground = token.value_of_css_property("background-color")
            assert abs(luminance(ink) - luminance(ground)) > 0.4
            assert (luminance(ink) > luminance(ground)) == dark
        driver.find_element("css selector", ".text").send_keys(Keys.END)
        hidden = (
            "const token = document.querySelector('.here').getBoundingClientRect();"
            "const choices = document.querySelector('.panel').getBoundingClientRect();"
            "return token.bottom > choices.top && token.right > choices.left"
        )
        assert not driver.execute_script(hidden)
        wide = "return document.documentElement.scrollWidth - window.innerWidth"
        assert driver.execute_script(wide) <= 0
        driver.save_screenshot(str(tmp_path / "page.png"))
        assert (tmp_path / "page.png").stat().st_size > 10_000


@needs_browser
def test_the_table_has_every_token(opened: browser.Chrome) -> None:
    opened.find_element("css selector", "summary").click()
    find = "return [...document.querySelectorAll('.wide tbody tr')]"
    WebDriverWait(opened, 5).until(lambda driver: driver.execute_script(find))
    rows = opened.execute_script(find)
    cells = [[c.text for c in row.find_elements("css selector", "td")] for row in rows]
    assert [row[3] for row in cells] == [f"{rank:,}" for rank in RANKS]
    assert cells[0] == ["2", "␣upon", "50.0%", "1", "1.00", "␣upon"]


@needs_browser
def test_of_a_megabyte_only_what_is_seen_is_painted(
    chromium: browser.Chrome, tmp_path: Path
) -> None:
    rows = 200_000
    one = scored()
    places = [one.places[n % 7] for n in range(rows)]
    pieces = ["Once", *(f" w{n % 700}" + ("\n" if n % 90 == 0 else "") for n in range(rows))]
    top = [f" t{k}" for k in range(10)]
    html = page([Scored("long", range(rows + 1), pieces, places, [top] * rows, 5 * rows)], "m")
    path = tmp_path / "long.html"
    path.write_text(html, encoding="utf-8")
    assert path.stat().st_size < 25e6
    chromium.get(path.as_uri())
    WebDriverWait(chromium, 20).until(lambda d: d.find_elements("css selector", ".token"))
    count = "return document.querySelectorAll('.token').length"
    assert 100 < chromium.execute_script(count) < 20_000
    chromium.find_element("css selector", ".text").send_keys(Keys.END)
    assert f"token {rows + 1:,}".replace(",", "") in said(chromium)
    assert chromium.execute_script(count) < 20_000
    chromium.get("about:blank")


@needs_browser
@NEEDS_AXE
@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_nothing_and_long_names_fit(
    chromium: browser.Chrome, width: int, tmp_path: Path
) -> None:
    name = "a_very_long_name_without_a_single_space_" * 4
    path = tmp_path / "page.html"
    path.write_text(page([scored(name), scored("b")], name), encoding="utf-8")
    with browser.Look(chromium) as look:
        look.set(width, touch=width < 500)
        chromium.get(path.as_uri())
        wide = "return document.documentElement.scrollWidth - window.innerWidth"
        assert chromium.execute_script(wide) <= 0
        for text in chromium.find_elements("css selector", ".text"):
            text.send_keys(Keys.END)
        for summary in chromium.find_elements("css selector", "summary"):
            chromium.execute_script("arguments[0].click()", summary)
            assert summary.rect["height"] >= 24
        chromium.execute_script(AXE.read_text(encoding="utf-8"))
        violations = chromium.execute_async_script(
            "const told = arguments[arguments.length - 1];"
            "axe.run().then(({ violations }) => told(violations), (error) => told(String(error)))"
        )
        seen = [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in violations]
        assert seen == []
