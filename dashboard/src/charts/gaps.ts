/** A moment in milliseconds and what was measured, null where nothing was heard. */
export type Point = readonly [tsMs: number, value: number | null];

/** Leave out the silence before the first value, and silences shorter than `gapMs`: those are between two reports. */
export function withGaps(points: readonly Point[], gapMs: number): Point[] {
  const out: Point[] = [];
  let silent: Point[] = [];
  for (const point of points) {
    if (point[1] === null) {
      if (out.length > 0) silent.push(point);
      continue;
    }
    const since = out.length > 0 ? out[out.length - 1][0] : point[0];
    if (point[0] - since > gapMs) out.push(...silent);
    silent = [];
    out.push(point);
  }
  const last = points[points.length - 1];
  if (silent.length > 0 && last[0] - out[out.length - 1][0] > gapMs) out.push(...silent);
  return out;
}
