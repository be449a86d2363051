"""What is kept, shared and said: the same text elsewhere, nothing lost, nothing hostile run."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.serving.page.driving import LENGTH, NEEDS_BROWSER, SEED, Page

pytestmark = NEEDS_BROWSER

HOSTILE = "<img src=x onerror=\"document.title='ran'\"><script>document.title='ran'</script>"


def write(page: Page, prompt: str = "Once upon a") -> str:
    page.type(prompt)
    page.press(Keys.CONTROL, Keys.ENTER)
    page.written()
    return page.text


def share(page: Page) -> tuple[str, str]:
    """The link and the command."""
    page.click("open-share")
    found = [page.button(name).get_attribute("value") or "" for name in ("link", "command")]
    page.driver.find_element("css selector", "#share .close").click()
    return found[0], found[1]


def test_a_link_gives_the_same_text_elsewhere(page: Page) -> None:
    page.fill("set-temperature", "0.7")
    page.fill("set-top_k", "7")
    page.fill("set-seed", "4711")
    text = write(page)
    page.click("again")
    page.wait(lambda: page.among == "2/2")
    page.written()
    second = page.text
    link, _ = share(page)
    page.driver.execute_script("localStorage.clear(); indexedDB.deleteDatabase('gpt2-sampler')")
    page.open("#" + link.partition("#")[2])
    page.written()
    assert page.text == second != text
    asked = page.asked
    assert [asked[name] for name in ("seed", "first", "temperature", "top_k")] == [4711, 1, 0.7, 7]
    assert page.driver.current_url == page.address  # a reload does not write it again


def test_a_link_leaves_the_text_that_was_there(page: Page) -> None:
    text = write(page)
    page.open("#prompt=Another&seed=3&length=5&model=gone")
    page.wait(lambda: "gone" in page.message and "toy" in page.message)
    assert page.text.startswith("Another")
    page.click("open-texts")
    page.wait(lambda: page.driver.find_elements("css selector", "#list bdi"))
    [mine] = [
        row
        for row in page.driver.find_elements("css selector", "#list li button:first-child")
        if row.text.startswith("Once upon")
    ]
    mine.click()
    page.wait(lambda: page.text == text)


def words_of(command: str) -> list[str]:
    """As a shell reads it."""
    program = f'show() {{ for word in "$@"; do printf "%s\\0" "$word"; done; }}; show {command}'
    done = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def test_the_command_line_names_the_same_prompt_and_settings(page: Page) -> None:
    page.fill("set-seed", "12")
    page.fill("set-top_p", "0.9")
    write(page, 'It\'s a "$HOME" \\n `date`\n')
    _, command = share(page)
    words = words_of(command)
    assert words[0] == "gpt2-interactive"
    given = dict(zip(words[1::2], words[2::2], strict=True))
    assert given == {
        # The command takes one line break off the end of a prompt.
        "--prompt": 'It\'s a "$HOME" \\n `date`\n\n',
        "--model_name": "toy",
        "--seed": "12",
        "--length": str(LENGTH),
        "--top_k": "40",
        "--top_p": "0.9",
    }
    page.click("again")
    page.wait(lambda: page.among == "2/2")
    page.written()
    _, command = share(page)
    printed, _, rest = command.partition(" | ")
    assert shlex.split(rest)[:4] == ["gpt2-conditional", "--jsonl", "--first", "1"]
    line = subprocess.run(["sh", "-c", printed], capture_output=True, text=True, check=True).stdout
    assert json.loads(line) == {"prompt": 'It\'s a "$HOME" \\n `date`\n'}


def test_a_text_out_of_nothing_has_its_command_too(page: Page) -> None:
    page.press(Keys.CONTROL, Keys.ENTER)
    page.written()
    assert page.asked["prompt"] is None
    assert share(page)[1].startswith("gpt2-generate --nsamples 1 --first 0 ")


def test_the_seed_is_shown_and_can_be_set(page: Page) -> None:
    assert page.button("set-seed").get_attribute("value") == str(SEED)
    text = write(page)
    assert f"seed {SEED}, sample 0" in page.figures
    page.press(Keys.CONTROL, "z")
    page.fill("set-seed", "77")
    page.click("continue")
    page.wait(lambda: "seed 77" in page.figures)
    assert page.text != text


def test_nothing_is_lost_by_closing_the_tab(page: Page) -> None:
    text = write(page)
    page.click("again")
    page.wait(lambda: page.among == "2/2")
    page.written()
    second = page.text
    page.type(" And so on.")
    page.open()  # at once, before anything was stored at leisure
    page.wait(lambda: page.text == f"{second} And so on.")
    while page.text != text:  # with its branches
        page.press(Keys.ALT, Keys.ARROW_LEFT)
    page.caret(len("Once upon a") + 1)
    page.wait(lambda: page.told().startswith("“␣"))  # and its choices


def downloaded(page: Page, folder: Path, name: str) -> str:
    page.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    page.click("open-share")
    page.click(name)
    page.wait(lambda: [path for path in folder.iterdir() if path.suffix in (".txt", ".json")])
    time.sleep(0.1)
    [path] = folder.iterdir()
    return path.read_text(encoding="utf-8")


def test_it_is_exported_as_text_and_as_json_with_the_tree(page: Page, tmp_path: Path) -> None:
    write(page, "Once 王 a\n")
    page.click("again")
    page.wait(lambda: page.among == "2/2")
    page.written()
    text = page.text
    for name in ("text", "tree"):
        (tmp_path / name).mkdir()
    assert downloaded(page, tmp_path / "text", "save-text") == text
    page.driver.find_element("css selector", "#share .close").click()
    content = downloaded(page, tmp_path / "tree", "save-tree")
    tree = json.loads(content)
    assert tree["text"] == text
    models = [one for one in tree["versions"] if one["by"] == "model"]
    assert [one["origin"]["sample"] for one in models] == [0, 1]
    assert len(models[0]["tokens"]) == LENGTH and len(models[0]["tokens"][0]["top"]) == 10
    page.driver.find_element("css selector", "#share .close").click()
    [path] = (tmp_path / "tree").iterdir()
    page.driver.find_element("id", "file").send_keys(str(path))  # and read again
    page.wait(lambda: page.among == "2/2" and page.text == text)


def test_a_browser_that_keeps_nothing_is_told_of(page: Page) -> None:
    refuse = "Object.defineProperty(window, 'indexedDB', { get() { throw new Error('no'); } });"
    added = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refuse})
    try:
        page.open()
        assert "keeps nothing" in page.message
        assert write(page)  # it works all the same
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_scripts_in_generated_text_do_nothing(page: Page) -> None:
    page.fake.says = HOSTILE
    page.fake.ids[" <b>king</b>"] = 10**6
    page.type("Once")
    page.press(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: HOSTILE in page.text)
    page.wait(lambda: page.button("continue").text == "Continue")
    page.caret(6)
    page.wait(page.told)
    page.press(Keys.CONTROL, Keys.END)
    page.press(Keys.TAB)
    page.wait(page.suggestions)
    page.press(Keys.ESCAPE)
    for name in ("branches", "share", "texts"):
        page.click(f"open-{name}")
        page.driver.find_element("css selector", f"#{name} .close").click()
    unharmed(page)


def unharmed(page: Page) -> None:
    assert page.driver.title == "gpt2-sampler"
    assert not page.driver.find_elements("css selector", "img, main script, dialog script, b")
    assert page.complaints() == []  # not even the policy had to hold anything back


def test_scripts_in_links_do_nothing(page: Page) -> None:
    page.driver.get("about:blank")
    page.driver.execute_script("location.href = arguments[0]", page.address)
    fields = {name: HOSTILE for name in ("prompt", "model", "stop", "seed", "length", "first")}
    fragment = page.driver.execute_script(
        "return new URLSearchParams(arguments[0]).toString()", {**fields, "key": "k\nX: y"}
    )
    page.open("#" + fragment)
    page.wait(lambda: HOSTILE in page.message)
    assert page.text.startswith(HOSTILE)
    unharmed(page)
    assert page.asked["seed"] == 0


def test_scripts_in_stored_trees_do_nothing(page: Page, tmp_path: Path) -> None:
    good: dict[str, Any] = {"id": HOSTILE, "parent": "root", "at": 0, "cut": 0, "text": HOSTILE,
        "by": HOSTILE, "time": HOSTILE, "tokens": [{"text": HOSTILE}], "ends": [3],
        "origin": {"model": HOSTILE, "seed": 1, "sample": 0, "prompt": HOSTILE, "settings": {
            "temperature": HOSTILE, "stop": HOSTILE}}}  # fmt: skip
    bad = [{**good, "id": "x", "at": 10**9}, {**good, "id": "y", "parent": "y"}, 7, None,
           {**good, "id": "z", "text": {}}, {**good, "id": "v", "at": -1}]  # fmt: skip
    path = tmp_path / "tree.json"
    path.write_text(json.dumps({"versions": [good, *bad], "current": "y"}))
    page.driver.find_element("id", "file").send_keys(str(path))
    page.wait(lambda: page.text == HOSTILE)
    page.click("open-branches")
    page.driver.find_element("css selector", "#branches .close").click()
    _, command = share(page)
    assert words_of(command)[1:3] == ["--prompt", HOSTILE]
    page.open()
    page.wait(lambda: page.text == HOSTILE)
    unharmed(page)
    path.write_text('{"versions": 5}')
    page.driver.find_element("id", "file").send_keys(str(path))
    page.wait(lambda: page.message)
    assert page.text == HOSTILE


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "invalid_api_key", "wants a key"),
        (403, None, "does not take requests"),
        (429, None, "busy. Try again in 7 s"),
        (503, None, "busy"),
        (400, "context_length_exceeded", "longer than the model can read"),
        (500, None, "The server says: <b>broke</b>"),
    ],
)
def test_what_the_server_refuses_is_told_in_one_line(
    page: Page, status: int, code: str | None, said: str
) -> None:
    page.type("Once upon a")
    page.fake.error = status, {"message": "<b>broke</b>", "code": code}
    page.press(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: said in page.message)
    box = page.driver.find_element("id", "message").rect
    assert box["height"] < 60 and page.text == "Once upon a"
    page.fake.error = None
    if status in (429, 500):
        page.driver.find_element("css selector", "#message button").click()
        page.written()
        assert not page.message


def test_a_text_beyond_the_window_goes_on_from_its_end_if_the_person_wants(page: Page) -> None:
    page.fake.window = 5
    page.type("the king and a wolf and a bird")
    page.press(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: "longer" in page.message)
    page.driver.find_element("css selector", "#message button").click()
    page.written()
    assert page.text.startswith("the king and a wolf and a bird")


def test_a_server_that_goes_away_leaves_the_text(page: Page) -> None:
    page.fake.breaks_after = 10
    page.type("Once upon a")
    page.press(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: "does not answer" in page.message)
    begun = page.text
    assert begun.startswith("Once upon a") and len(begun) > len("Once upon a")
    page.fake.breaks_after = None
    page.driver.find_element("css selector", "#message button").click()  # try again
    page.written()
    assert page.text.startswith(begun)


def test_the_key_comes_from_the_address_and_does_not_stay_there(page: Page) -> None:
    page.open("#key=s3cret")
    assert page.driver.current_url == page.address
    write(page)
    assert page.fake.keys[-1] == "Bearer s3cret"
    assert "s3cret" not in share(page)[0]
    page.open()
    page.press(Keys.CONTROL, Keys.ENTER)
    page.written()
    assert page.fake.keys[-1] == "Bearer s3cret"
