"""``cityops connector ...``: new, test, explain, run; each command imports its part when it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cityops import logs, settings
from schemas.errors import Fatal

app = typer.Typer(
    help="接入工具：新建、检查、解释报文、试运行 / The kit for connectors.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(help="接入类型，或其文件夹 / Connector, or the folder of one.")]
Json = Annotated[bool, typer.Option("--json", help="输出 JSON / Print JSON.")]
Given = Annotated[list[str] | None, typer.Option("--set", help="接入设置 key=value / A setting of the connector.")]
Text = Annotated[bool, typer.Option("--text", help="报文是文本而不是十六进制 / The packet is text, not hex.")]
File = Annotated[Path | None, typer.Option("--file", exists=True, dir_okay=False, help="报文文件 / A file with the packet.")]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="名称，用标准号 / Name: that of the standard, in small letters.")],
    transport: Annotated[str, typer.Option("--transport", help="tcp | udp | mqtt | http_poll | http_push | file | client")],
    kind: Annotated[str, typer.Option("--kind", help="数据类别，见 docs/reference / Kind of its readings.")],
    text: Annotated[bool, typer.Option("--text", help="报文是文本行 / Packets are lines of text.")] = False,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into", file_okay=False, help="目录；缺省放进 connectors/ / Folder; outside our tree it becomes a package."
        ),
    ] = None,
) -> None:
    """新建接入：立即通过全部检查，再按标准修改 / A new connector that keeps the contract at once."""
    from cityops.connector_kit.new import Order, make

    order = Order(name, transport, kind, text=text, into=into)
    for path in make(order):
        typer.echo(path)
    where = name if order.inside else order.folder
    typer.echo(f"检查 / check it: cityops connector test {where}", err=True)
    if order.inside:
        typer.echo("更新参考文档 / bring the reference up to date: cityops generate", err=True)


@app.command()
def test(
    name: Name,
    packet: Annotated[str | None, typer.Option("--packet", help="试解一个报文 / Try one packet.")] = None,
    file: File = None,
    text: Text = False,
    given: Given = None,
    as_json: Json = False,
) -> None:
    """标准样例与全部检查，或试解一个报文 / Golden cases and the contract, or one packet tried."""
    from cityops.connector_kit import find, packets
    from cityops.connector_kit import test as kit

    logs.configure(process=False)
    connector = find.connector(name)
    inputs = packets.given(packet, file, text=text)
    if inputs:
        from cityops.connector_kit.tried import tried

        results = tried(connector, given or [], inputs)
        for line in results:
            typer.echo(json.dumps(line, ensure_ascii=False, indent=None if as_json else 2))
        raise typer.Exit(1 if any(line["rejects"] for line in results) else 0)
    outcomes = list(kit.examine(connector))
    _show([o.as_dict() for o in outcomes], lambda: kit.table(outcomes, f"{connector.type} 检查 / Checks"), as_json=as_json)
    raise typer.Exit(0 if all(o.passed for o in outcomes) else 1)


@app.command()
def explain(
    name: Name,
    packet: Annotated[str | None, typer.Argument(help="十六进制报文或文件 / Packet in hex, or a file.")] = None,
    file: File = None,
    text: Text = False,
    given: Given = None,
    origin: Annotated[str, typer.Option("--origin", help="主题、地址或文件名 / Topic, address or file name it came by.")] = "",
    as_json: Json = False,
) -> None:
    """逐字节解释报文；文件中的报文依次属于同一会话 / Explain a packet byte by byte; those of a file are one session."""
    from cityops.connector_kit import explain as kit
    from cityops.connector_kit import find, packets
    from cityops.connector_kit.tried import settings_of
    from cityops.parts import now

    logs.configure(process=False)
    connector = find.connector(name)
    chosen = settings_of(connector, given or [])
    inputs = packets.given(packet, file, text=text)
    if not inputs:
        raise Fatal("give a packet in hexadecimal, a file, or --text with a packet of text")
    found = [
        kit.explain(connector, chosen, content, now(), origin or came, [earlier for earlier, _ in inputs[:number]])
        for number, (content, came) in enumerate(inputs)
    ]
    for number, one in enumerate(found, 1):
        title = f"{connector.type}: {len(one.packet)} bytes" + (f" ({number}/{len(found)})" if len(found) > 1 else "")
        _show(one.as_dict(), lambda one=one, title=title: kit.table(one, title), as_json=as_json)
        if not as_json:
            typer.echo(kit.summary(one))
    raise typer.Exit(1 if any(one.rejects for one in found) else 0)


@app.command()
def run(
    name: Name,
    dry: Annotated[bool, typer.Option("--dry", help="打印结果，不写 Kafka / Print results; no Kafka.")] = False,
    listen: Annotated[str | None, typer.Option("--listen", help="host:port")] = None,
    given: Given = None,
    seconds: Annotated[float | None, typer.Option("--for", min=0.1, help="运行秒数 / Stop after SECONDS.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="配置文件 (TOML) / Settings file.")] = None,
) -> None:
    """试运行：真实端口，打印解码结果 / The real door, decoded results printed, no Kafka and no database."""
    from cityops.connector_kit import find
    from cityops.connector_kit import run as kit
    from cityops.decode import pairs
    from cityops.parts import now, until_signal

    logs.configure(process=False)
    if not dry:
        raise Fatal("give --dry to print results; to run connectors into Kafka use `cityops connect`")
    instances = settings.read(config).connectors if config is not None else {}
    base = instances.get(name, {})
    connector = find.connector(str(base.get("type", name)))
    table = kit.table_of(connector.manifest, base, listen, pairs(given or []))
    until_signal(lambda stop: kit.run_for(connector, table, seconds, stop=stop, clock=now))


def _show(found: Any, table: Any, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    from cityops.shown import show

    show(table())
