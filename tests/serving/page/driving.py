"""The page in Chromium, as a person finds it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.seeing.browser import BROWSER, DRIVER
from tests.serving.page.fake import Fake

NEEDS_BROWSER = pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="there is no chromium with its driver"
)
MODIFIERS = {Keys.CONTROL, Keys.SHIFT, Keys.ALT}
PATIENCE = 10  # seconds
SEED, LENGTH = 7, 24


class Page:
    def __init__(self, driver: Chrome, address: str, fake: Fake) -> None:
        self.driver, self.address, self.fake = driver, address, fake

    def begin(self) -> Page:
        """With a seed and a length that are known."""
        known = json.dumps({"seed": SEED, "length": LENGTH})
        keep = f"localStorage.setItem('gpt2-sampler settings', '{known}')"
        script = self.driver.execute_cdp_cmd(
            "Page.addScriptToEvaluateOnNewDocument", {"source": keep}
        )
        self.load()
        self.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
        return self

    def open(self, fragment: str = "") -> Page:
        """Anew, also where only the fragment is another."""
        self.driver.get("about:blank")
        return self.load(fragment)

    def load(self, fragment: str = "") -> Page:
        self.driver.get_log("browser")
        self.driver.get(self.address + fragment)
        self.ready()
        return self

    def wait(self, holds: Callable[[], Any]) -> None:
        until = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < until, self.driver.execute_script(
                "return document.body.innerText"
            )
            time.sleep(0.02)

    def ready(self) -> None:
        self.wait(
            lambda: self.driver.execute_script(
                "return document.documentElement.dataset.ready === 'yes'"
            )
        )

    def written(self) -> None:
        """Waits until a text is complete."""
        self.wait(lambda: " tokens, " in self.figures and self.fake.open == 0)

    @property
    def editor(self) -> WebElement:
        return self.driver.find_element("id", "editor")

    @property
    def text(self) -> str:
        return self.editor.get_attribute("textContent") or ""

    def length(self) -> int:
        return int(self.driver.execute_script("return editor.textContent.length"))

    @property
    def asked(self) -> dict[str, Any]:
        """The last request for a text, not for the next token alone."""
        return [asked for asked in self.fake.requests if asked.get("stream")][-1]

    @property
    def shown(self) -> str:
        """What is laid out."""
        return self.editor.text

    @property
    def figures(self) -> str:
        return self.driver.find_element("id", "figures").text

    @property
    def message(self) -> str:
        return self.driver.find_element("css selector", "#message span").text

    @property
    def among(self) -> str:
        return self.driver.find_element("id", "place-among").text

    def button(self, name: str) -> WebElement:
        return self.driver.find_element("id", name)

    def click(self, name: str) -> None:
        self.button(name).click()

    def type(self, text: str) -> None:
        if self.driver.switch_to.active_element != self.editor:
            self.driver.execute_script("editor.focus()")
        ActionChains(self.driver, duration=0).send_keys(text.replace("\n", Keys.ENTER)).perform()

    def press(self, *keys: str) -> None:
        if self.driver.switch_to.active_element != self.editor:
            self.driver.execute_script("editor.focus()")
        chain = ActionChains(self.driver, duration=0)
        held = [key for key in keys if key in MODIFIERS]
        for key in held:
            chain.key_down(key)
        chain.send_keys(*[key for key in keys if key not in MODIFIERS])
        for key in held:
            chain.key_up(key)
        chain.perform()

    def paste(self, text: str) -> None:
        self.driver.execute_script(
            "editor.focus(); const data = new DataTransfer();"
            "data.setData('text/plain', arguments[0]);"
            "editor.dispatchEvent(new ClipboardEvent('paste',"
            " { clipboardData: data, bubbles: true, cancelable: true }))",
            text,
        )

    def fill(self, name: str, value: str) -> None:
        field = self.driver.find_element("id", name)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(value, Keys.TAB)

    LOCATE = """
        let [rest] = arguments, node;
        const walker = document.createTreeWalker(editor, NodeFilter.SHOW_TEXT);
        while ((node = walker.nextNode()) && rest > node.length) rest -= node.length;
    """

    def caret(self, place: int) -> None:
        self.driver.execute_script(
            f"editor.focus(); {self.LOCATE} getSelection().collapse(node, rest)", place
        )

    def rectangle(self, place: int) -> dict[str, float]:
        found: dict[str, float] = self.driver.execute_script(
            f"{self.LOCATE} const range = document.createRange(); range.setStart(node, rest);"
            "range.setEnd(node, rest + 1); return range.getBoundingClientRect().toJSON()",
            place,
        )
        return found

    def point(self, place: int) -> None:
        box = self.rectangle(place)
        chain = ActionChains(self.driver, duration=0)
        chain.w3c_actions.pointer_action.move_to_location(
            int(box["x"] + box["width"] / 2), int(box["y"] + box["height"] / 2)
        )
        chain.perform()

    def suggestions(self) -> list[str]:
        return [o.text for o in self.driver.find_elements("css selector", "#suggestions li")
                if o.is_displayed()]  # fmt: skip

    def told(self) -> str:
        return self.driver.find_element("id", "place").text

    def choices(self) -> list[list[str]]:
        """The token and the probabilities in each row."""
        found: list[list[str]] = self.driver.execute_script(
            "return [...document.querySelectorAll('#choices tbody tr')].map((row) =>"
            "[...row.querySelectorAll('bdi, .share')].map(({ textContent }) => textContent))"
        )
        return found

    def choose_colours(self, kind: str) -> None:
        self.driver.find_element("css selector", f"#paint [value={kind}]").click()
        time.sleep(0.1)

    def highlights(self) -> dict[str, list[str]]:
        """The names of the colours in the text, and the texts that have them."""
        found: dict[str, list[str]] = self.driver.execute_script(
            "return Object.fromEntries([...CSS.highlights].filter(([, ranges]) => ranges.size)"
            ".map(([name, ranges]) => [name, [...ranges].map((range) => range.startContainer"
            ".data.slice(range.startOffset, range.endOffset))]))"
        )
        return found

    def highlighted(self, name: str) -> list[str]:
        return self.highlights().get(name, [])

    def complaints(self) -> list[dict[str, Any]]:
        """What the browser's console says."""
        found: list[dict[str, Any]] = self.driver.get_log("browser")
        return found
