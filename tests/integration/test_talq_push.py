"""TALQ over real HTTP: a gateway announces a lamp and reports; status and body are those of the API."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import httpx

from connectors._api import load
from connectors._host.http_push import HttpListener
from connectors._host.options import HttpPushOptions
from connectors.talq import encoder
from connectors.talq.encoder import Gateway
from tests.unit.host.fakes import START, Bench, until

TALQ = load("talq")
LAMP = encoder.device("lamp-7", "灯 7", [encoder.placed(121.4737, 31.2304)])
POWER = encoder.measured("lamp-7/fLampMonitor_1", "activePower", encoder.attribute("AttributeFloat", 81.5), START)


async def test_a_gateway_is_answered_as_the_api_says_once_its_report_is_safe() -> None:
    gateway, bench = Gateway(UUID(int=7), "logger-1"), Bench()
    door = HttpListener(TALQ, TALQ.manifest.resolve({}, "push"), HttpPushOptions(listen="127.0.0.1:0"), bench.intake, bench.clock)
    async with bench.opened(door), httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}/v2", timeout=15) as client:

        async def send(request: tuple[str, bytes]) -> httpx.Response:
            method, _, path = request[0].partition(" ")
            task = asyncio.create_task(client.request(method, path, content=request[1]))

            def confirmed() -> bool:
                bench.confirm()
                return task.done()

            await until(confirmed)
            return task.result()

        answer = await send(gateway.announce([LAMP]))
        assert (answer.status_code, answer.json()) == (201, [LAMP])
        assert answer.headers["Content-Type"].startswith("application/json")
        answer = await send(gateway.log_report([POWER]))
        assert (answer.status_code, answer.content) == (201, b"")
        assert bench.intake.readings == 2
        expected: list[tuple[tuple[str, bytes], int, str]] = [
            (gateway.request("GET /devices/other"), 404, "resourceNotFound"),
            (gateway.request("POST /log-reports", [1]), 400, "payloadError"),
            (gateway.request("POST /log-reports", {"entries": [{}]}), 422, "payloadError"),
            (gateway.announce([{**LAMP, "name": "other"}]), 409, "resourceConflict"),
        ]
        for request, code, key in expected:
            answer = await send(request)
            errors: Any = answer.json()
            assert (answer.status_code, errors[0]["key"]) == (code, key)
        assert bench.intake.rejects == len(expected)
