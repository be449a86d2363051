"""Debian's Chromium without a window, for tests; None where there is none."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
)


@contextlib.contextmanager
def browser(profile: Path, width: int, height: int) -> Iterator[Chrome]:
    """With its profile in a new folder, and a window of so many pixels."""
    assert BROWSER and DRIVER
    options = ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(DRIVER))
    try:
        Look(driver).media({"prefers-color-scheme": "light"})
        yield driver
    finally:
        driver.quit()


class Look:
    """How the browser pretends to be, as long as it is open."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def __enter__(self) -> Look:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        self.media({"prefers-color-scheme": "light"})
        self.language("en-US")

    def set(self, width: int, *, dark: bool = False, touch: bool = False) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": touch},
        )
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": touch})
        self.media({"prefers-color-scheme": "dark" if dark else "light"})

    def media(self, features: dict[str, str]) -> None:
        given = [{"name": name, "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": given})

    def language(self, name: str) -> None:
        agent = self.driver.execute_script("return navigator.userAgent")
        self.driver.execute_cdp_cmd(
            "Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": name}
        )
