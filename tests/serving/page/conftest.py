from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.seeing import browser
from tests.serving.page.driving import Page
from tests.serving.page.fake import fake_server


@pytest.fixture(scope="package")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser.browser(tmp_path_factory.mktemp("profile"), 1280, 1000) as driver:
        yield driver


@pytest.fixture
def page(chromium: Chrome) -> Iterator[Page]:
    """On a server of its own, so with nothing kept of other tests."""
    with fake_server() as (address, fake):
        yield Page(chromium, address, fake).begin()
