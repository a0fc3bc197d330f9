"""Texts of a new connector that depend on its kind: declaration, mapping, README, tests, package."""

from __future__ import annotations

import json
from typing import Any, Final

from cityops.connector_kit import example
from cityops.reference import BEGIN, END, with_settings
from connectors._api.manifest import Manifest
from connectors._api.registry import ENTRY_POINTS
from schemas.derive import fields
from schemas.kinds import kind as kind_by_name

DELIVERY: Final = {
    "tcp": "At least once: a report is answered only after its reading is durable; devices repeat what is not answered.",
    "udp": "At least once where devices repeat what is not answered; a datagram that is lost on the way is not seen.",
    "mqtt": "At least once with QoS 1: a message is acknowledged only after its readings are durable.",
    "http_push": "At least once: a request is answered with 200 only after its readings are durable.",
    "http_poll": "At least once: a document is fetched again at the next interval, whatever became of the last one.",
    "file": "At least once: files are read from their beginning after a restart, and repeats are recognised.",
    "client": "At least once: the client is asked for the next document only after the one before is durable.",
}
SETTINGS: Final = {
    "http_poll": """
[settings.url]
type = "str"
default = ""
zh = "数据地址；空表示不拉取"
en = "Address of the document; empty fetches nothing"

[settings.interval_s]
type = "float"
default = 60.0
unit = "s"
zh = "拉取间隔"
en = "Time from one fetch to the next"
""",
    "client": """
[settings.address]
type = "str"
default = "127.0.0.1:7011"
zh = "服务器地址 host:port"
en = "Address of the server, host:port"
""",
}
SPOKEN: Final = {
    "lines": "`#device,YYYYMMDDhhmmss,serial,name=value,...*XX` (Beijing time; XX: XOR of the text), answered `#OK,serial*XX`.",
    "frames": "`AA 55`, length, body (device u32, seconds since 1970 u32, serial u16, values i32), XOR of length and body.",
    "documents": '`{"device": ..., "time": ISO 8601, "serial": ..., "values": {...}}`, one or a list of them.',
}
TIMES: Final = {"lines": "compact", "frames": "s", "documents": "iso"}


def manifest(name: str, transport: str, kind: str, port: int | None) -> str:
    """Give ``connector.toml``."""
    zh, en = kind_by_name(kind).labels
    listens = f"default_port = {port}\n" if port else ""
    return (
        f'standard = "{name}"\neditions = ["1"]\ntransport = "{transport}"\n{listens}kinds = ["{kind}"]\n'
        f'delivery = "{DELIVERY[transport]}"\n\n[name]\nzh = "{zh}（{name}）"\nen = "{en} ({name})"\n'
        f"{SETTINGS.get(transport, '')}"
    )


def mapping(form: str, kind: str, values: dict[str, Any]) -> str:
    """Give ``mapping.toml``; every field has its bounds beside it, one that is not filled stands there as a comment."""
    rest = [f for f in fields(kind) if f.name not in values and f.name not in ("source", "ts", "seen_at", "serial", "raw_crs")]
    head = [
        "# field of the kind = { from = field of the packet, scale, offset, bit, values, absent }, or { value = a constant };",
        "# in the kind's units",
        f"[{kind}]",
        'source = { from = "device" }',
        f'ts = {{ from = "time", format = "{TIMES[form]}" }}',
        'serial = { from = "serial" }',
    ]
    bounds = {f.name: example.limits(f) for f in fields(kind)}
    used = [f"{example.rule(form, name, value)}{f'  # {bounds[name]}' if bounds[name] else ''}" for name, value in values.items()]
    unused = [f"# {f.name}: {f.zh} / {f.en}{f' ({bounds[f.name]})' if bounds[f.name] else ''}" for f in rest]
    return "\n".join([*head, *used, *unused]) + "\n"


def readme(name: str, form: str, transport: str, declared: Manifest, *, inside: bool) -> str:
    """Give ``README.md``, its table of settings as ``cityops generate`` writes it."""
    add = "" if inside else "\n安装 / Install: `pip install --no-deps --editable .` beside `pyproject.toml`.\n"
    text = f"""# {name}

标准 / Standard: {name}。由 `cityops connector new` 生成，请按标准修改。
Made by `cityops connector new`; change it to the standard.

它说 / What it speaks ({transport}): {SPOKEN[form]}

| 文件 file | 内容 what |
|---|---|
| `connector.toml` | 名称、标准、方式、数据类别、设置 / name, standard, transport, kinds, settings |
| `decoder.py` | 报文 -> 读数 / packets to readings; no clock or socket |
| `encoder.py` | 字段 -> 报文 / the same packets from fields |
| `mapping.toml` | 报文字段 -> 数据类别字段 / which field fills which field of the kind |
| `golden/*.json` | 标准样例 / packets with what must come of them |

```
cityops connector test {name}
cityops connector explain {name} PACKET
cityops connector run {name} --dry
```
{add}
## 设置 Settings
{BEGIN}{END}"""
    return with_settings(text, declared, name)


def contract(name: str) -> str:
    """Give the tests of the contract, for a package outside our tree."""
    return f'''"""{name} keeps the contract of connectors."""

from __future__ import annotations

from pathlib import Path

import pytest
from cityops.connector_kit import conformance, find

CONNECTOR = find.from_folder(Path(__file__).resolve().parent.parent / "{name}")


@pytest.mark.parametrize("check", conformance.CHECKS)
def test_contract(check: str) -> None:
    """Every check of the contract passes."""
    conformance.CHECKS[check][1](CONNECTOR)
'''


def round_trip(name: str, package: str, form: str, values: dict[str, Any]) -> str:
    """Give the test, for a package outside our tree, that the decoder reads what the encoder writes."""
    device = example.DEVICE if form == "frames" else json.dumps(str(example.DEVICE))
    return f'''"""What the encoder of {name} writes its decoder reads."""

from __future__ import annotations

from pathlib import Path

from cityops.connector_kit import conformance, find

from {package} import encoder

CONNECTOR = find.from_folder(Path(encoder.__file__).resolve().parent)
AT = {example.AT:_}


def test_what_the_encoder_writes_the_decoder_reads() -> None:
    """Device, time and serial come back as they were given."""
    settings = conformance.settings_of(CONNECTOR)
    packet = encoder.report({device}, AT, {example.SERIAL}, {json.dumps(values).replace("true", "True")})
    (received,) = conformance.run(CONNECTOR, settings, conformance.session_of(CONNECTOR, settings), packet, AT, "")
    (reading,) = received.readings
    assert (reading.source, reading.ts, reading.serial) == ("{example.DEVICE}", AT, {example.SERIAL})
'''


def project(name: str) -> str:
    """Give the ``pyproject.toml`` of a package outside our tree."""
    plain = name.replace("_", "-")
    return f"""[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "cityops-{plain}"
version = "0.1.0"
description = "CityOps connector {name}"
requires-python = ">=3.11"
dependencies = ["cityops"]

[project.entry-points."{ENTRY_POINTS}"]
{name} = "{name}"

[tool.hatch.build.targets.wheel]
packages = ["{name}"]

[tool.pytest.ini_options]
pythonpath = ["."]
"""
