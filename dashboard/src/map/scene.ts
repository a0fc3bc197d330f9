/** What a painter draws and from where it is seen. */
import { ORIGIN, mercator, type LayerStore } from '../live/entities';
import { STATE, type Alert, type Severity } from '../live/protocol';

/** Column-major 4x4 from web mercator (0..1) to clip space. */
export type Matrix = ArrayLike<number>;

export interface View {
  matrix: Matrix;
  /** CSS pixels. */
  width: number;
  height: number;
  dpr: number;
  /** Radians, clockwise. */
  bearing: number;
  zoom: number;
  nowMs: number;
  /** Size of one rem over 16: everything drawn grows with the page's text. */
  scale: number;
}

export interface Mark {
  alert: Alert;
  x: number;
  y: number;
  selected: boolean;
}

export interface Scene {
  layers: LayerStore[];
  off: ReadonlySet<number>;
  marks: Mark[];
  /** Entities shown; many of them at low zoom are drawn smaller. */
  shown: number;
}

export interface Painter {
  /** False while it cannot draw (context lost). */
  paint(view: View, scene: Scene): boolean;
  /** Whether another frame is wanted soon, because something glides. */
  gliding(nowMs: number): boolean;
  destroy(): void;
}

export type Rgb = readonly [number, number, number];

/** Colour by state; the last is grey, for the silent and unknown. */
export const COLOURS: readonly Rgb[] = [
  [50, 200, 130],
  [78, 161, 255],
  [255, 176, 32],
  [255, 92, 92],
  [128, 140, 160],
];

export const MARK_STATE: Record<Severity, number> = {
  critical: STATE.ALARM,
  major: STATE.WARNING,
  minor: STATE.BUSY,
};

/** Diameter in CSS pixels of normal and of urgent glyphs at that zoom. */
export function glyphSizes(zoom: number, shown: number): [normal: number, urgent: number] {
  const near = Math.min(1, Math.max(0, (zoom - 9) / 4));
  const crowded = shown > 8000 ? 4.5 : shown > 3000 ? 7 : 9.5;
  const far = Math.min(1, Math.max(0.5, 0.6 + (zoom - 7.6) * 0.33));
  return [crowded * far + (16 - crowded) * near, 12 * far + 6 * near];
}

export function markOf(alert: Alert, selected: boolean): Mark | null {
  const { lon, lat } = alert;
  if (lon === null || lon === undefined || lat === null || lat === undefined) return null;
  const [x, y] = mercator(lon, lat);
  return { alert, x: x - ORIGIN[0], y: y - ORIGIN[1], selected };
}

/** The matrix moved to ORIGIN, in double precision, so that offsets can be single. */
export function localMatrix(m: Matrix): Float64Array {
  const out = Float64Array.from(m);
  for (let i = 0; i < 4; i++) out[12 + i] = m[i] * ORIGIN[0] + m[4 + i] * ORIGIN[1] + m[12 + i];
  return out;
}

/** CSS pixels of a local point, or null behind the camera. */
export function project(local: Float64Array, view: View, x: number, y: number): [number, number] | null {
  const w = local[3] * x + local[7] * y + local[15];
  if (w <= 0) return null;
  const cx = (local[0] * x + local[4] * y + local[12]) / w;
  const cy = (local[1] * x + local[5] * y + local[13]) / w;
  return [((cx + 1) / 2) * view.width, ((1 - cy) / 2) * view.height];
}

export type Picked = { alert: Alert } | { layer: LayerStore; slot: number };

/** What lies nearest to a point of the screen, alerts before entities, within `reach` pixels. */
export function pick(view: View, scene: Scene, px: number, py: number, reach = 14): Picked | null {
  const local = localMatrix(view.matrix);
  let best: Picked | null = null;
  let bestDistance = reach * view.scale;
  const consider = (x: number, y: number, make: () => Picked): void => {
    const at = project(local, view, x, y);
    if (!at) return;
    const distance = Math.hypot(at[0] - px, at[1] - py);
    if (distance < bestDistance) {
      bestDistance = distance;
      best = make();
    }
  };
  for (const mark of scene.marks) consider(mark.x, mark.y, () => ({ alert: mark.alert }));
  if (best) return best;
  scene.layers.forEach((layer, index) => {
    if (scene.off.has(index)) return;
    for (let slot = 0; slot < layer.size; slot++) {
      if (!layer.shown(slot, view.nowMs)) continue;
      consider(layer.place[4 * slot + 2], layer.place[4 * slot + 3], () => ({ layer, slot }));
    }
  });
  return best;
}
