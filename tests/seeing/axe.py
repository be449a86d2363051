"""axe-core, which finds what people with disabilities would stumble over.

`npm install axe-core` in the checkout puts it where it is found, or AXE names the file axe.min.js.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.checkpoints import ROOT

AXE = Path(os.environ.get("AXE") or ROOT / "node_modules" / "axe-core" / "axe.min.js")
NEEDS_AXE = pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed by npm")
