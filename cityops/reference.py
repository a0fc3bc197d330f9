"""Generated files that follow from connectors, rule packs, the life of an alert and data grades."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from cityops.reader import reader_sql
from connectors._api import manifest, registry
from connectors._api.manifest import Manifest, Setting
from connectors._host.options import BY_TRANSPORT
from schemas.config import Config
from schemas.errors import Fatal
from schemas.events import Action, Alert, AlertCommand, Finding
from schemas.generate import BANNER
from schemas.kinds import kind as kind_by_name
from schemas.rules import Bits, Jump, Rule, Silent, Threshold
from streams.steps.lifecycle import ALLOWED, CHANGE, REOPEN_US, apply_command, apply_finding
from streams.worker import rules_of

BEGIN = "<!-- generated from connector.toml: settings -->\n"
END = "<!-- end of generated part -->\n"
"""Between these lines of a connector's README stands its table of settings."""
SETTINGS_HEAD = "| setting | type | default | unit | 说明 | meaning |\n|---|---|---|---|---|---|\n"
SEVERITY = {"critical": "紧急 critical", "major": "重要 major", "minor": "一般 minor"}


def files() -> dict[str, str]:
    """Give the text of every file made here by its path in the repository; a README without its marks raises ``Fatal``."""
    found = {
        "docs/reference/connectors.md": connectors_md(),
        "docs/reference/rules.md": rules_md(rules_of(Config()).values()),
        "docs/reference/alerts.md": alerts_md(),
        "grafana/reader.sql": reader_sql(),
    }
    for name, folder in own_connectors().items():
        readme = folder / "README.md"
        if readme.exists():
            declared = manifest.read(folder / "connector.toml")
            found[f"connectors/{name}/README.md"] = with_settings(readme.read_text(encoding="utf-8"), declared, str(readme))
    return found


def own_connectors() -> dict[str, Path]:
    """Give the folders of the connectors in this repository by name."""
    return {name: folder for name, folder in registry.installed().items() if folder.parent == registry.ROOT}


def with_settings(readme: str, declared: Manifest, where: str) -> str:
    """Give a README with its generated part written anew."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        msg = f"{where}: the generated part is absent; write {BEGIN.strip()!r} and {END.strip()!r} on lines of their own"
        raise Fatal(msg)
    return f"{before}{BEGIN}{settings_table(declared.settings)}{END}{after}"


def settings_table(settings: dict[str, Setting]) -> str:
    """Give the table of a connector's settings."""
    return SETTINGS_HEAD + "".join(_setting(name, s) for name, s in settings.items())


def _setting(name: str, setting: Setting) -> str:
    default = "必填 required" if setting.default is msgspec.UNSET else f"`{_toml(setting.default)}`"
    kind = setting.type if not setting.choices else f"{setting.type}: {', '.join(f'`{_toml(c)}`' for c in setting.choices)}"
    return _row([f"`{name}`", kind, default, setting.unit, setting.zh, setting.en])


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(c.replace('|', chr(92) + '|') for c in cells)} |\n"


MANY_CONNECTIONS = """
## 大量连接 Many connections

一个 `connect` 进程可承载两万条连接：设 `max_connections = 20000`；终端经运营商网关共用地址时，
另将 `max_per_ip` 调大，或设为 `0`（不限）。每条连接占用一个文件描述符：进程启动时自动将软限制
提高到硬限制，并为 Kafka、磁盘缓存等保留 100 个；其余用完后，新连接立即被关闭，已有连接不受影响，
日志每分钟最多提示一次。硬限制应比连接总数多 200，由系统设定：systemd 的 `LimitNOFILE`，Docker 的
`--ulimit nofile`。终端同时重连时，内核排队数取自 `net.core.somaxconn`，宜不小于 4096。

One `connect` process holds 20,000 connections: set `max_connections = 20000`, and where terminals share the addresses
of a carrier's gateway raise `max_per_ip` too, or lift it with `0`. Each connection takes a file descriptor: the process
raises its soft limit to the hard one at start and keeps 100 for Kafka, the spool and itself. When the others are taken
new connections are closed at once, those there are served on, and the log says so at most once a minute. The hard limit
should exceed the connections of all instances by 200; the system sets it: `LimitNOFILE` of systemd, `--ulimit nofile`
of Docker. When many terminals come back at once the kernel queues as many as `net.core.somaxconn` says; keep it at 4096
or more.
"""


def connectors_md() -> str:
    """Give the reference of connectors: what each speaks, what it promises, what can be set."""
    declared = {name: manifest.read(folder / "connector.toml") for name, folder in own_connectors().items()}
    parts = [
        f"{BANNER}# 接入 Connectors\n\n",
        "| 类型 type | 名称 name | 标准 standard | 方式 transport | 端口 port | 数据类别 kinds |\n|---|---|---|---|---|---|\n",
    ]
    for name, m in declared.items():
        link, label = f"[`{name}`](../../connectors/{name}/README.md)", f"{m.name.zh} {m.name.en}"
        kinds = ", ".join(f"`{k}` {kind_by_name(k).labels[0]}" for k in m.kinds)
        parts.append(_row([link, label, _standard(m), m.transport, str(m.default_port or "—"), kinds]))
    for name, m in declared.items():
        parts.append(f"\n## `{name}` {m.name.zh} {m.name.en}\n\n送达保证 delivery: {m.delivery}\n\n{settings_table(m.settings)}")
    transports = sorted({m.transport for m in declared.values()} & BY_TRANSPORT.keys())
    parts += [f"\n## 方式 transport `{t}`\n\n每个实例另有 every instance also takes:\n\n{_options(t)}" for t in transports]
    parts.append(MANY_CONNECTIONS)
    return "".join(parts)


def _standard(declared: Manifest) -> str:
    return f"{declared.standard} ({', '.join(declared.editions)})" if declared.editions else declared.standard


def _options(transport: str) -> str:
    rows = [
        _row(
            [
                f"`{f.name}`",
                getattr(f.type, "__name__", str(f.type)),
                "必填 required" if f.required else f"`{_toml(_default(f))}`",
            ]
        )
        for f in msgspec.structs.fields(BY_TRANSPORT[transport])
    ]
    return "| key | type | default |\n|---|---|---|\n" + "".join(rows)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def rules_md(rules: Iterable[Rule]) -> str:
    """Give the reference of rules: when each raises and clears, and where its limit comes from."""
    head = (
        "| rule | 名称 name | 级别 severity | 数据类别 kinds | 条件 condition | 持续 hold | 恢复 clear | 依据 clause |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    rows = [
        _row(
            [
                f"`{r.id}` v{r.version}",
                f"{r.zh} {r.en}",
                SEVERITY[r.severity] + ("" if r.category == "city" else "，数据 data"),
                ", ".join(f"`{k}`" for k in r.kinds),
                condition(r),
                f"{r.hold_s:g} s",
                f"{r.clear_s:g} s",
                r.clause,
            ]
        )
        for r in rules
    ]
    return f"{BANNER}# 规则 Rules\n\n{head}{''.join(rows)}"


def condition(rule: Rule) -> str:
    """Give a rule's condition in symbols, with the point at which it clears."""
    match rule.when:
        case Threshold() as when:
            return _threshold(rule, when)
        case Bits() as when:
            return f"`{when.field}` 位 bit {', '.join(map(str, when.bits))}"
        case Silent() as when:
            return f"无数据 silent > {when.intervals:g} × interval"
        case Jump() as when:
            return f"隐含速度 implied speed > {when.above:g} {when.unit}, ≥ {when.distance_m:g} m"


def _threshold(rule: Rule, when: Threshold) -> str:
    sign, back = (">", "<") if when.above is not None else ("≥", "<") if when.at_least is not None else ("≤", ">")
    subject = f"`{when.field}`" + (f" / `{when.share_of}`" if when.share_of else "")
    unit = f" {when.unit}" if when.unit else ""
    extra = [f"`{when.field}` ≤ {when.or_at_most:g} 亦然 or"] if when.or_at_most is not None else []
    extra += [f"{when.period_s} s 均值 mean"] if when.period_s is not None else []
    extra += ["–".join(when.between)] if when.between is not None else []
    extra += [f"`{name}` = {str(value).lower()}" for name, value in when.require.items()]
    return "; ".join([f"{subject} {sign} {rule.limit:g}{unit}, 恢复 clears {back} {when.clear:g}{unit}", *extra])


LIFE = f"""\
发现（raise、update、clear）来自规则和检测器，命令来自值班人员。每格是新状态和记录的变更；— 表示不变也不记录。

Findings (raise, update, clear) come from rules and detectors, commands from duty staff. A cell gives the new state and the
change recorded; — changes and records nothing.

系统办结后 {REOPEN_US // 1_000_000} 秒内再次发现，以原编号重开；由人办结的则新开告警。

A finding within {REOPEN_US // 1_000_000} s of the system's own clearing reopens the alert under the same id; after a person
resolved it, a new alert opens instead.

"""
CONFLICT = """\
版本不符的命令（note 除外）得到 `conflict`。 A command for another version than the present one (except note) is answered
with `conflict`.
"""


def alerts_md() -> str:
    """Give the life of an alert: from every state, what each finding and each command leads to."""
    inputs = ["raise", "update", "clear", *ALLOWED]
    head = _row(["状态 state", *(f"`{i}`" for i in inputs)]) + "|---" * (len(inputs) + 1) + "|\n"
    rows = "".join(_row([label, *(outcome(alert, i) for i in inputs)]) for label, alert in states().items())
    commands = "| 命令 command | 允许的状态 from | 变更 change |\n|---|---|---|\n" + "".join(
        _row([f"`{c}`", ", ".join(f"`{s}`" for s in allowed), f"`{CHANGE[c]}`"]) for c, allowed in ALLOWED.items()
    )
    return f"{BANNER}# 告警生命周期 Life of an alert\n\n{LIFE}{head}{rows}\n{commands}\n{CONFLICT}"


def states() -> dict[str, Alert | None]:
    """Give an alert in every state that matters to its life, by label."""
    opened, _ = apply_finding(None, _finding("raise", 0))
    acknowledged, _ = apply_command(opened, _command("acknowledge", 1))
    cleared, _ = apply_finding(opened, _finding("clear", 10, started=0))
    resolved, _ = apply_command(opened, _command("resolve", 1))
    return {
        "无 none": None,
        "`open`": opened,
        "`acknowledged`": acknowledged,
        "`resolved` 由系统 by the system": cleared,
        "`resolved` 由人 by a person": resolved,
    }


def outcome(alert: Alert | None, given: str) -> str:
    """Give what an input makes of an alert, as a cell: the new state and the change recorded."""
    if given in ALLOWED:
        after, event = apply_command(alert, _command(given, alert.version if alert else 1))
    else:
        after, found = apply_finding(alert, _finding(given, 20))
        if found is None:
            return "—"
        event = found
    if event.change == "refused" or after is None:
        return f"`{event.change}`"
    return f"{after.status} (`{event.change}`)"


def _finding(state: str, at_s: int, started: int | None = None) -> Finding:
    at = at_s * 1_000_000
    given = {"state": state, "started": at if started is None else started, "at": at, "seen_at": at}
    fixed = {"rule": "r", "rule_version": 1, "severity": "minor", "kind": "bus_position", "source": "s"}
    return msgspec.convert(given | fixed, Finding)


def _command(action: str, version: int) -> AlertCommand:
    checked = msgspec.convert(action, Action)
    return AlertCommand(
        cmd_id="c", alert_id="a", source="s", action=checked, actor="duty", at=15_000_000, expected_version=version
    )
