"""The command line: thin; each command imports its part when it runs."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cityops import layers, logs, rejects, settings
from cityops.connector_kit import commands as connector_kit
from schemas.config import Config
from schemas.errors import Fatal, Retry

FATAL, UNEXPECTED = 2, 70
"""Exit statuses: a fault the message tells how to mend; a fault of ours, with its trace."""

app = typer.Typer(
    name="cityops",
    help="城市运行实时平台 / Real-time city operations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(layers.app, name="layers")
app.add_typer(connector_kit.app, name="connector")
app.add_typer(rejects.app, name="rejects")

ConfigFile = Annotated[Path | None, typer.Option("--config", help="配置文件 (TOML) / Settings file.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="数据目录 / Data folder (default: CITYOPS_DATA, .cityops).")]
Json = Annotated[bool, typer.Option("--json", help="输出 JSON / Print JSON.")]
Worker = Annotated[int, typer.Option("--worker", min=0, help="进程编号 / Number of this worker.")]


@app.command()
def demo(
    seconds: Annotated[
        float | None, typer.Option("--for", min=1, help="运行秒数，然后对账退出 / Stop by itself after SECONDS.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="不打开浏览器 / Open no browser.")] = False,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="网页端口 / Port of the page.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="清空数据后启动 / Forget all data first.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """整个城市：内嵌 Kafka、数据库、接入、流处理、网页和模拟设备 / The whole city on embedded parts."""
    from cityops.demo import run

    logs.configure(process=False)
    raise typer.Exit(run(seconds=seconds, headless=headless, port=port, fresh=fresh, as_json=as_json, data_dir=data_dir))


@app.command()
def connect(
    only: Annotated[list[str] | None, typer.Argument(help="接入实例，缺省全部 / Instances; all when none is named.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """运行接入；--config 的文件改动后自动生效 / Run connectors; changes of the --config file are taken up as they come."""
    from cityops import parts

    parts.connect(_process(config, data_dir), only or [], config, lambda: settings.settle(config, data_dir))


@app.command()
def stream(
    worker: Worker = 0,
    agents: Annotated[str, typer.Option("--agents", help="逗号分隔，缺省全部 / Comma-separated; all when empty.")] = "",
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """运行流处理 / Run a stream worker: clean, watch, alerts."""
    from cityops import parts

    parts.stream(_process(config, data_dir), worker, [a for a in agents.split(",") if a])


@app.command()
def store(worker: Worker = 0, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """运行入库 / Run a store worker."""
    from cityops import parts

    parts.store(_process(config, data_dir), worker)


@app.command()
def serve(config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """运行网关：网页、接口、实时推送 / Run the gateway: page, API, live push."""
    from cityops import parts

    parts.serve(_process(config, data_dir))


@app.command()
def simulate(
    seed: Annotated[int, typer.Option("--seed", help="随机种子 / Seed of the city.")] = 1405,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """运行模拟城市 / Run the simulated devices."""
    from cityops import parts

    parts.simulate(_process(config, data_dir), seed)


@app.command()
def migrate(config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """创建主题、升级数据库 / Create topics and bring the database up to this release."""
    from cityops import parts

    for line in parts.migrate(_command(config, data_dir)) or ["没有变更 / nothing to do"]:
        typer.echo(line)


@app.command()
def replay(
    path: Annotated[Path, typer.Argument(exists=True, help="文件或目录 / A file or folder of recorded packets.")],
    connector: Annotated[str, typer.Option("--connector", help="接入类型 / Connector that reads them.")],
    speed: Annotated[
        float, typer.Option("--speed", min=0, help="倍速，0 为最快 / Times real time; 0 is as fast as it goes.")
    ] = 0.0,
    lane: Annotated[
        str | None, typer.Option("--lane", help="live | late | backfill; 缺省按时间 / by event time when absent.")
    ] = None,
    given: Annotated[list[str] | None, typer.Option("--set", help="接入设置 key=value / A setting of the connector.")] = None,
    as_json: Json = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """回放真实报文并对账 / Real bytes through the real connector; prints its own ledger."""
    from cityops.replay import Job, run

    logs.configure(process=False)
    job = Job(path, connector, speed=speed, lane=lane, given=given or [])
    raise typer.Exit(run(job, as_json=as_json, config=config, data_dir=data_dir))


@app.command()
def decode(
    name: Annotated[str, typer.Argument(help="接入类型 / Connector.")],
    given: Annotated[list[str] | None, typer.Option("--set", help="接入设置 key=value / A setting of the connector.")] = None,
    text: Annotated[bool, typer.Option("--text", help="每行是文本而不是十六进制 / Lines are text, not hex.")] = False,
    file: Annotated[
        list[Path] | None, typer.Option("--file", exists=True, dir_okay=False, help="整个文件 / A whole file.")
    ] = None,
) -> None:
    """解码标准输入的报文，每行一个 / Decode packets from stdin, one a line, as one session."""
    from cityops.decode import run

    logs.configure(process=False)
    run(name, given or [], text=text, files=file or [])


@app.command()
def connectors(as_json: Json = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """已安装的接入及其状态 / Installed connectors and how they are."""
    from cityops.connector_list import rows, table

    found = rows(_command(config, data_dir))
    _show(found, table, as_json=as_json)


@app.command()
def ledger(
    as_json: Json = False,
    since: Annotated[str | None, typer.Option("--since", help="起始时间 ISO 8601 / Only rows that arrived since then.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """对账：接收 = 入库 + 重复 + 拒收 + 在途 / Prove that nothing is lost."""
    from rich.console import Group

    from cityops.ledger import frames_table, read, since_time, table

    found = read(_command(config, data_dir), since=since_time(since))
    shown = [table(found), *([frames_table(found)] if found.frames else [])]
    _show(found.as_dict(), lambda _: Group(*shown), as_json=as_json)


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="主题 / Topic.")],
    as_json: Json = False,
    count: Annotated[int, typer.Option("-n", min=0, help="行数，0 不限 / Rows; 0 goes on for ever.")] = 0,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="从最早开始 / From the oldest record.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """把主题中的数据逐行显示为 JSON / Show a topic's rows as JSON."""
    from cityops.tail import run

    run(_command(config, data_dir), topic, count=count, from_beginning=from_beginning, compact=as_json)


@app.command()
def doctor(as_json: Json = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """检查环境与各部分 / Check settings, broker, database, page and connectors."""
    from cityops.doctor import examine, table

    checks = examine(_command(config, data_dir))
    _show([c.as_dict() for c in checks], lambda _: table(checks), as_json=as_json)
    raise typer.Exit(1 if any(c.verdict == "bad" for c in checks) else 0)


@app.command()
def generate(
    kafka_lock: Annotated[bool, typer.Option("--kafka-lock", help="重新锁定 Kafka 的文件 / Lock Kafka's jars anew.")] = False,
) -> None:
    """重新生成所有生成文件 / Write all generated files."""
    from cityops.generate import run

    logs.configure(process=False)
    for path in run(kafka_lock=kafka_lock):
        typer.echo(path)


def _process(config: Path | None, data_dir: Path | None) -> Config:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the process takes care of it: nothing is begun yet
    logs.configure(process=True)
    return settings.settle(config, data_dir)


def _command(config: Path | None, data_dir: Path | None) -> Config:
    logs.configure(process=False)
    return settings.settle(config, data_dir)


def _show(found: Any, table: Callable[[Any], Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    from cityops.shown import show

    show(table(found))


def main() -> None:
    """Run the command line; a ``Fatal`` becomes one sentence and exit status 2, anything unexpected status 70."""
    try:
        app()
    except (Fatal, Retry) as error:
        typer.echo(f"cityops: {error}", err=True)
        sys.exit(FATAL)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:  # noqa: BLE001 - the process's last word
        traceback.print_exc()
        sys.exit(UNEXPECTED)
