/** The ground of the flat map on a 2D canvas: counties, streets below trunk roads, their names when near. */
import type { Position } from 'geojson';

import { label } from '../i18n';
import { mercator } from '../live/entities';
import { worldOf } from './flatview';
import { rings, singleLines } from './geometry';
import type { View } from './scene';
import { MAP_COLOURS as C, ROAD_NAMES_FROM, TRUNKS, type Camera, type Ground } from './stage';

/** A straight piece of a road, long enough to be written along, in web mercator. */
interface Stretch {
  zh: string;
  en: string;
  trunk: boolean;
  from: [x: number, y: number];
  to: [x: number, y: number];
}

export interface Outlines {
  counties: Path2D;
  streets: Path2D;
  trunks: Path2D;
  stretches: Stretch[];
}

/** CSS pixels. */
const SAME_NAME_APART = 260;
const CHORD = 14;

export function outlines(ground: Ground): Outlines {
  const trace = (path: Path2D, points: Position[]): void =>
    points.forEach(([lon, lat], i) => (i ? path.lineTo(...mercator(lon, lat)) : path.moveTo(...mercator(lon, lat))));
  const out: Outlines = { counties: new Path2D(), streets: new Path2D(), trunks: new Path2D(), stretches: [] };
  for (const { ring } of rings(ground.boundaries)) trace(out.counties, ring);
  for (const { properties, geometry } of singleLines(ground.roads).features) {
    const trunk = TRUNKS.includes(String(properties?.class));
    trace(trunk ? out.trunks : out.streets, geometry.coordinates);
    const named = { zh: String(properties?.zh ?? ''), en: String(properties?.en ?? properties?.zh ?? ''), trunk };
    if (named.zh) out.stretches.push(...stretches(geometry.coordinates).map((s) => ({ ...named, ...s })));
  }
  return out;
}

/** Chords over several points each: winding roads are written along their general course. */
function stretches(points: Position[]): Pick<Stretch, 'from' | 'to'>[] {
  const out: Pick<Stretch, 'from' | 'to'>[] = [];
  for (let i = 0; i + 1 < points.length; i += CHORD) {
    const [from, to] = [points[i], points[Math.min(i + CHORD, points.length - 1)]];
    out.push({ from: mercator(from[0], from[1]), to: mercator(to[0], to[1]) });
  }
  return out;
}

/** How thick a line is: its width at zoom 9 growing by a share with every step nearer. */
const thick = (zoom: number, at9: number, most: number): number => Math.min(most, at9 * 1.45 ** Math.max(0, zoom - 9));

export function paintGround(canvas: HTMLCanvasElement, path: Outlines, camera: Camera, view: View): void {
  const ctx = canvas.getContext('2d');
  if (!ctx) return;
  canvas.width = Math.round(view.width * view.dpr);
  canvas.height = Math.round(view.height * view.dpr);
  const world = worldOf(camera.zoom) * view.dpr;
  const [cx, cy] = mercator(camera.lon, camera.lat);
  ctx.fillStyle = C.ground;
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.setTransform(world, 0, 0, world, canvas.width / 2 - cx * world, canvas.height / 2 - cy * world);
  ctx.fillStyle = C.county;
  ctx.fill(path.counties, 'evenodd');
  const stroke = (what: Path2D, colour: string, width: number): void => {
    ctx.lineWidth = (width * view.scale * view.dpr) / world;
    ctx.strokeStyle = colour;
    ctx.stroke(what);
  };
  ctx.lineJoin = ctx.lineCap = 'round';
  stroke(path.counties, C.border, 1.2);
  stroke(path.streets, C.road, thick(camera.zoom, 0.5, 12));
  stroke(path.trunks, C.main, thick(camera.zoom, 1.1, 15));
  paintNames(ctx, path.stretches, camera, view);
}

/** Names along stretches that are longer on the screen than the name, the same name not too often. */
function paintNames(ctx: CanvasRenderingContext2D, all: Stretch[], camera: Camera, view: View): void {
  if (camera.zoom < ROAD_NAMES_FROM.trunk) return;
  const world = worldOf(camera.zoom);
  const [cx, cy] = mercator(camera.lon, camera.lat);
  const unit = view.dpr * view.scale;
  ctx.font = `${12 * unit}px "${C.font}", sans-serif`;
  ctx.textAlign = 'center';
  ctx.textBaseline = 'middle';
  const written = new Map<string, [x: number, y: number][]>();
  for (const s of all) {
    if (camera.zoom < (s.trunk ? ROAD_NAMES_FROM.trunk : ROAD_NAMES_FROM.street)) continue;
    const x = ((s.from[0] + s.to[0]) / 2 - cx) * world + view.width / 2;
    const y = ((s.from[1] + s.to[1]) / 2 - cy) * world + view.height / 2;
    if (x < 0 || y < 0 || x > view.width || y > view.height) continue;
    const text = label(s);
    const near = written.get(text) ?? [];
    if (near.some(([px, py]) => Math.hypot(px - x, py - y) < SAME_NAME_APART * view.scale)) continue;
    const [dx, dy] = [(s.to[0] - s.from[0]) * world, (s.to[1] - s.from[1]) * world];
    if (Math.hypot(dx, dy) * view.dpr < ctx.measureText(text).width * 1.1) continue;
    written.set(text, [...near, [x, y]]);
    write(ctx, text, [x * view.dpr, y * view.dpr], Math.atan(dx === 0 ? Infinity : dy / dx), 3 * unit);
  }
}

function write(ctx: CanvasRenderingContext2D, text: string, [x, y]: [number, number], turn: number, halo: number): void {
  ctx.setTransform(Math.cos(turn), Math.sin(turn), -Math.sin(turn), Math.cos(turn), x, y);
  ctx.lineWidth = halo;
  ctx.strokeStyle = C.county;
  ctx.strokeText(text, 0, 0);
  ctx.fillStyle = C.roadName;
  ctx.fillText(text, 0, 0);
}
