"""What a server counts is what was asked of it."""

from __future__ import annotations

import re

import pytest

from tests.serving.running import Running, running
from tests.serving.test_app import ASKED


def test_metrics_count_requests_and_tokens() -> None:
    metrics = pytest.importorskip("gpt2_sampler.serving.metrics").Metrics()
    with running(metrics=metrics) as server:
        usage = server.complete(**ASKED, n=2)["usage"]
        server.post(prompt=3)
        found = server.client.get("/metrics").text
    assert 'gpt2_requests_total{status="200"} 1.0' in found
    assert 'gpt2_requests_total{status="400"} 1.0' in found
    assert f'gpt2_tokens_total{{kind="drawn"}} {usage["completion_tokens"]}.0' in found
    assert "gpt2_time_to_first_token_seconds_count 1.0" in found
    assert 'gpt2_texts{state="waiting"} 0.0' in found
    for name in ("gpt2_time_to_first_token_seconds", "gpt2_request_seconds"):
        assert re.findall(rf'{name}_bucket{{le="(.*?)"}}', found) == [
            *("0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0"),
            *("30.0", "60.0", "120.0", "+Inf"),
        ]


def test_metrics_are_off_unless_asked_for(server: Running) -> None:
    assert server.client.get("/metrics").status_code == 404
