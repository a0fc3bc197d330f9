"""``cityops layers``: reference layers imported, listed, put to use, and written out again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cityops import logs, settings
from schemas.config import Config
from schemas.errors import Fatal

if TYPE_CHECKING:  # each command imports its part when it runs
    from rich.table import Table

    from storage.connect import Pool
    from storage.layers import Use, Version

app = typer.Typer(help="参考图层：行政区、道路、线路、围栏、来源登记 / Reference layers.", no_args_is_help=True)
T = TypeVar("T")
LayerName = Annotated[
    str, typer.Argument(metavar="LAYER", help="图层 / zones, roads, bus_lines, bus_stops, pipes, geofences, sources.")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="配置文件 (TOML) / Settings file.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="数据目录 / Data folder (default: CITYOPS_DATA, .cityops).")]
Json = Annotated[bool, typer.Option("--json", help="输出 JSON / Print JSON.")]
Title = Annotated[str | None, typer.Option("--name", help="名称，缺省为文件名 / Name of the version (default: the file's).")]
Renames = Annotated[list[str] | None, typer.Option("--rename", help="列改名 A=B / Read column A as B.")]
Drops = Annotated[list[str] | None, typer.Option("--drop", help="忽略的列，* 为所有未知列 / Columns to leave out.")]
Repair = Annotated[bool, typer.Option("--repair", help="修复无效面 / Repair invalid outlines.")]


@app.command("import")
def import_(  # noqa: PLR0913, PLR0917 - each is an option
    layer: LayerName,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="GeoJSON 或 CSV / GeoJSON or CSV.")],
    name: Title = None,
    note: Annotated[str, typer.Option("--note", help="备注 / Note.")] = "",
    crs: Annotated[str | None, typer.Option("--crs", help="坐标系 / wgs84, gcj02, bd09 or cgcs2000.")] = None,
    rename: Renames = None,
    drop: Drops = None,
    repair: Repair = False,
    draft: Annotated[bool, typer.Option("--draft", help="只导入不启用 / Import without putting it to use.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """导入为新版本并启用；内容相同则不产生新版本 / Import as a new version and put it to use; the same content makes none."""
    from cityops.layer_files import Reading, read, system
    from cityops.parts import now
    from storage import layers

    how = Reading(system(crs), _renames(rename or []), frozenset(drop or ()), repair)
    features = read(file, layer, how)

    async def work(pool: Pool) -> str:
        version, new = await layers.save(pool, layer, features, title=name or file.name, note=note, at=now())
        said = f"{layer}: 版本 {version}，{len(features)} 个要素" + ("" if new else "（内容已存在 / same content as before）")
        if draft:
            return said + f"，未启用 / version {version} is not in use; cityops layers activate {layer} {version}"
        await layers.activate(pool, layer, version, at=now())
        return said + f"，已启用 / version {version} is in use"

    typer.echo(_run(work, config, data_dir))


@app.command("list")
def list_(as_json: Json = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """列出所有版本 / List all versions."""
    from storage import layers

    found = _run(layers.versions, config, data_dir)
    _show(found, lambda: _versions(found), as_json=as_json)


@app.command()
def show(layer: LayerName, as_json: Json = False, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """显示一个图层的版本及启用记录 / Show a layer's versions and when each was in use."""
    from storage import layers

    layers.layer(layer)

    async def work(pool: Pool) -> tuple[list[Version], list[Use]]:
        return await layers.versions(pool, layer), await layers.uses(pool, layer)

    found, uses = _run(work, config, data_dir)
    _show({"versions": found, "uses": uses}, lambda: _uses(_versions(found), uses), as_json=as_json)


@app.command()
def activate(
    layer: LayerName,
    version: Annotated[int, typer.Argument(min=0, help="版本，0 为不使用 / Version; 0 for none, the default.")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """启用一个版本 / Put a version to use; every worker takes it up within seconds."""
    from cityops.parts import now
    from storage import layers

    layers.layer(layer)
    changed = _run(lambda pool: layers.activate(pool, layer, version, at=now()), config, data_dir)
    typer.echo(f"{layer}: {version} {'已启用 / is in use' if changed else '本已启用 / was in use already'}")


@app.command()
def export(
    layer: LayerName,
    version: Annotated[int | None, typer.Option("--version", min=1, help="缺省为启用的版本 / Default: the one in use.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """把一个版本写为 GeoJSON / Write a version to stdout as GeoJSON that can be imported again."""
    from storage import layers, zones

    layers.layer(layer)
    boundaries = _settings(config, data_dir).stream.boundaries

    async def work(pool: Pool) -> bytes:
        chosen = version or (await layers.active(pool)).get(layer)
        if chosen is None and layer == "zones":
            return layers.geojson(layer, layers.as_features(zones.load(boundaries)))
        if chosen not in [v.version for v in await layers.versions(pool, layer)]:
            raise Fatal(f"layer {layer} has no version {chosen or 'in use'}; see cityops layers show {layer}")
        return layers.geojson(layer, layers.unpack(layer, await layers.fetch(pool, layer, chosen)))

    typer.echo(_run(work, config, data_dir).decode())


def _renames(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if wrong := [a for a, _, b in pairs if not (a and b)]:
        raise Fatal(f"--rename {wrong[0]!r}: write COLUMN=NAME")
    return {a: b for a, _, b in pairs}


def _settings(config: Path | None, data_dir: Path | None) -> Config:
    logs.configure(process=False)
    return settings.settle(config, data_dir)


def _run(work: Callable[[Pool], Awaitable[T]], config: Path | None, data_dir: Path | None) -> T:
    from storage.connect import create_pool
    from storage.layers import LOAD_S

    found = _settings(config, data_dir)
    url = settings.database_url(found)

    async def main() -> T:
        pool = await create_pool(url, found.database.schema, size=1, timeout=LOAD_S)
        try:
            return await work(pool)
        finally:
            await pool.close()

    return asyncio.run(main())


def _show(found: Any, table: Callable[[], Table], *, as_json: bool) -> None:
    import msgspec

    from cityops.shown import show

    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        show(table())


def _versions(found: list[Version]) -> Table:
    from rich.table import Table

    from connectors._api.session import iso

    shown = Table(title="参考图层 / Layers")
    for head in ("图层 layer", "版本 version", "要素 features", "名称 name", "备注 note", "导入 imported", "启用 in use since"):
        shown.add_column(head)
    for v in found:
        since = "-" if v.active_from is None else iso(v.active_from)[:19]
        shown.add_row(v.layer, str(v.version), str(v.features), v.name, v.note, iso(v.imported_at)[:19], since)
    return shown


def _uses(shown: Table, found: list[Use]) -> Table:
    from connectors._api.session import iso

    ends = ["…" if u.active_to is None else iso(u.active_to)[:19] for u in found]
    lines = [f"{u.version or 'default'}: {iso(u.active_from)[:19]} - {end}" for u, end in zip(found, ends, strict=True)]
    shown.caption = "\n".join(lines)
    return shown
