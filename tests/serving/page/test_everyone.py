"""The page for everyone: any width, touch, dark and light, two languages, keys, screen readers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.seeing.axe import AXE, NEEDS_AXE
from tests.seeing.browser import Look
from tests.serving.page.driving import NEEDS_BROWSER, Page

pytestmark = NEEDS_BROWSER


@pytest.fixture
def look(page: Page) -> Iterator[Look]:
    with Look(page.driver) as found:
        yield found


def fill(page: Page) -> None:
    page.open("#prompt=Once+upon+a&seed=1&length=40&top_k=40")
    page.written()
    page.caret(len("Once upon a") + 1)
    page.driver.execute_script("choices.open = settings.open = true")
    page.wait(page.choices)


@pytest.mark.parametrize("width", [360, 700, 1280, 2560])
def test_nothing_is_cut_off_at_any_width(page: Page, look: Look, width: int) -> None:
    look.set(width, touch=width < 800)
    fill(page)
    wide = page.driver.execute_script(
        "const wide = []; for (const one of document.querySelectorAll('body *')) {"
        "const box = one.getBoundingClientRect();"
        "if (box.width && !one.closest('.unseen, svg, table') && (box.right > innerWidth + 1"
        " || box.left < -1)) wide.push(one.outerHTML.slice(0, 80)); } return wide"
    )
    assert wide == []
    for name in ("continue", "suggest", "again", "undo", "redo", "open-share"):
        box = page.button(name).rect
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert box["height"] >= (44 if width < 800 else 24)
    assert page.editor.rect["width"] <= 800  # a line that can be read
    assert page.driver.find_element("id", "sheet").rect["height"] >= 200


def luminance(colour: str) -> float:
    """Relative, as WCAG 2 defines it, of #rrggbb."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(p * w for p, w in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_colour_has_contrast(page: Page, look: Look, dark: bool) -> None:
    look.set(1280, dark=dark)
    names = ["ground", "card", "ink", "soft", "mark", "model", "tint", "bar", "bar2", "edge"]
    names += [f"{kind}{n}" for kind in ("pale", "deep", "solid") for n in range(4)]
    found: dict[str, str] = page.driver.execute_script(
        "const style = getComputedStyle(document.documentElement);"
        "const canvas = new OffscreenCanvas(1, 1).getContext('2d');"
        "return Object.fromEntries(arguments[0].map((name) => {"
        "canvas.fillStyle = style.getPropertyValue('--' + name);"
        "return [name, canvas.fillStyle]; }))",
        names,
    )
    assert (luminance(found["ground"]) < 0.2) == dark
    grounds = [found[f"{kind}{n}"] for kind in ("pale", "deep") for n in range(4)]
    for ink in ("ink", "model"):  # text
        for ground in [*grounds, found["ground"], found["tint"]]:
            assert contrast(found[ink], ground) >= 4.5, (ink, ground)
    for name in ("soft", "mark"):
        assert contrast(found[name], found["card"]) >= 4.5, name
    for name in ("bar", "bar2", "edge", *(f"solid{n}" for n in range(4))):
        assert contrast(found[name], found["card"]) >= 3, name
        assert contrast(found[name], found["ground"]) >= 3, name


@NEEDS_AXE
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_axe_finds_nothing(page: Page, look: Look, width: int, dark: bool) -> None:
    look.set(width, dark=dark, touch=width < 800)
    fill(page)
    page.driver.execute_script(AXE.read_text(encoding="utf-8"))
    for dialog in ("", "branches", "share", "texts", "help"):
        if dialog:
            page.driver.execute_script(f"document.getElementById('open-{dialog}').click()")
            time.sleep(0.1)
        elif page.fake.ids:
            page.press(Keys.CONTROL, Keys.END)
            page.press(Keys.TAB)
            page.wait(page.suggestions)
        found: list[dict[str, Any]] = page.driver.execute_async_script(
            "const told = arguments[arguments.length - 1];"
            "axe.run().then(({ violations }) => told(violations), (error) => told(String(error)))"
        )
        seen = [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]
        assert seen == [], dialog
        page.driver.execute_script("document.querySelector('dialog[open]')?.close()")


def test_it_speaks_chinese_to_a_chinese_browser(page: Page, look: Look) -> None:
    look.language("zh-CN,zh;q=0.9")
    page.open()
    assert page.driver.execute_script("return document.documentElement.lang") == "zh"
    page.fake.says = " 王。"
    page.type("从前")
    page.press(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: "种子" in page.figures)
    page.click("open-help")
    shown = page.driver.execute_script(
        "return [...document.querySelectorAll('button, label, summary, h2, option, dd, small,"
        "[aria-label]')].filter((one) => one.checkVisibility() && !one.closest('table'))"
        ".flatMap((one) => [one.textContent, one.ariaLabel ?? ''])"
        ".filter((text) => /[a-z]{4}/i.test(text))"
    )
    assert [
        t for t in shown if not any(name in t for name in ("Ctrl", "JSON", "min_p", "Enter"))
    ] == []
    look.language("fr-FR")
    page.open()
    assert page.button("continue").text == "Continue"


def test_both_languages_say_the_same_things(page: Page) -> None:
    differ = page.driver.execute_async_script(
        "const told = arguments[arguments.length - 1]; import('/page/words.js').then(({ ENGLISH,"
        " CHINESE }) => { const shape = (one) => typeof one === 'object' ? Object.fromEntries("
        "Object.entries(one).map(([name, value]) => [name, shape(value)])) : typeof one;"
        "told([JSON.stringify(shape(ENGLISH)), JSON.stringify(shape(CHINESE))]); })"
    )
    assert differ[0] == differ[1]


def test_all_of_it_can_be_done_with_keys(page: Page) -> None:
    page.type("Once upon a")
    page.press(Keys.CONTROL, Keys.ENTER)
    page.written()
    page.press(Keys.ESCAPE)
    reached = []
    for _ in range(40):  # Escape, and Tab leaves the text; it goes on through everything
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        element = page.driver.switch_to.active_element
        reached.append(element.get_attribute("id") or element.tag_name)
        if reached[-1] == "editor":
            break
    assert {"continue", "suggest", "again", "paint", "read", "go-on", "set-temperature"} <= set(
        reached
    )
    outline = page.driver.switch_to.active_element.value_of_css_property("outline-style")
    assert outline == "none" or reached[-1] != "editor"


def test_a_screen_reader_hears_sentences_and_not_tokens(page: Page) -> None:
    page.fake.says = " There was a king. He had a wolf. And then"
    page.fake.pause = 0.03
    page.driver.execute_script(
        "window.heard = []; new MutationObserver(() => heard.push(spoken.textContent))"
        ".observe(spoken, { childList: true })"
    )
    page.type("Once.")
    page.press(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: "Done" in page.driver.execute_script("return window.heard.join('|')"))
    heard = page.driver.execute_script("return window.heard")
    assert heard == ["Writing …", "There was a king.", "He had a wolf.", "And then Done."]
    roles = {
        "editor": "textbox", "suggestions": "listbox", "tree": "tree", "message": "alert"
    }  # fmt: skip
    for name, role in roles.items():
        assert page.driver.find_element("id", name).get_attribute("role") == role


def test_nothing_moves_where_motion_is_not_wanted(page: Page, look: Look) -> None:
    look.media({"prefers-reduced-motion": "reduce"})
    page.type("Once upon a")
    page.press(Keys.TAB)
    page.wait(page.suggestions)
    assert page.driver.execute_script("return document.getAnimations().length") == 0
    box = page.driver.find_element("id", "suggestions")
    assert box.value_of_css_property("animation-name") == "none"


def test_text_from_right_to_left_reorders_nothing_around_it(page: Page) -> None:
    page.fake.ids["\u202e"] = 10**6
    page.fake.says = " שלום \u202eabc"
    page.type("Once")
    page.press(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: page.text.endswith("abc"))
    page.caret(len("Once") + 1)
    page.wait(lambda: page.told().startswith("“"))
    isolated = page.driver.find_elements("css selector", "#choices tbody th bdi")
    assert len(isolated) == len(page.choices())
    assert "\u202e" not in page.told()
