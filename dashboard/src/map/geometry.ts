/** Outlines of counties: their extent, and where their names go. */
import type { Feature, FeatureCollection, LineString, Position } from 'geojson';

export type Bounds = [west: number, south: number, east: number, north: number];

export interface Place {
  code: string;
  zh: string;
  en: string;
  lon: number;
  lat: number;
}

/** Every ring of every polygon of a collection, with the index of its feature. */
export function rings(collection: FeatureCollection): { feature: number; ring: Position[] }[] {
  return collection.features.flatMap(({ geometry }, feature) => {
    if (geometry?.type === 'Polygon') return geometry.coordinates.map((ring) => ({ feature, ring }));
    if (geometry?.type === 'MultiPolygon') return geometry.coordinates.flat().map((ring) => ({ feature, ring }));
    return [];
  });
}

export function lines(collection: FeatureCollection): Position[][] {
  return collection.features.flatMap(({ geometry }) => {
    if (geometry?.type === 'LineString') return [geometry.coordinates];
    if (geometry?.type === 'MultiLineString') return geometry.coordinates;
    return [];
  });
}

/** The same lines with one feature for each part, which is what a map's joining of equal names works on. */
export function singleLines(collection: FeatureCollection): FeatureCollection<LineString> {
  const features = collection.features.flatMap((feature) =>
    lines({ type: 'FeatureCollection', features: [feature] }).map(
      (coordinates): Feature<LineString> => ({
        type: 'Feature',
        properties: feature.properties,
        geometry: { type: 'LineString', coordinates },
      }),
    ),
  );
  return { type: 'FeatureCollection', features };
}

export function boundsOf(collection: FeatureCollection): Bounds {
  const out: Bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { ring } of rings(collection)) {
    for (const [lon, lat] of ring) {
      out[0] = Math.min(out[0], lon);
      out[1] = Math.min(out[1], lat);
      out[2] = Math.max(out[2], lon);
      out[3] = Math.max(out[3], lat);
    }
  }
  return Number.isFinite(out[0]) ? out : [112, 35.2, 113.6, 36.1];
}

const GRID = 28;

/** One point per feature, far from all its edges and from the points to keep clear: towns and roads, where vehicles are. */
export function places(collection: FeatureCollection, clear: Position[] = []): Place[] {
  const all = rings(collection);
  return collection.features.map((feature, index) => {
    const own = all.filter((r) => r.feature === index).map((r) => r.ring);
    const [lon, lat] = inmost(own, clear);
    const p = feature.properties ?? {};
    return { code: String(p.code ?? ''), zh: String(p.zh ?? p.name ?? ''), en: String(p.en ?? p.zh ?? ''), lon, lat };
  });
}

function inmost(own: Position[][], clear: Position[]): [number, number] {
  const [west, south, east, north] = boundsOf({
    type: 'FeatureCollection',
    features: [{ type: 'Feature', properties: {}, geometry: { type: 'Polygon', coordinates: own } }],
  });
  let best: [number, number] = [(west + east) / 2, (south + north) / 2];
  let bestDistance = -1;
  for (let i = 1; i < GRID; i++) {
    for (let j = 1; j < GRID; j++) {
      const lon = west + ((east - west) * i) / GRID;
      const lat = south + ((north - south) * j) / GRID;
      if (!inside(own, lon, lat)) continue;
      const distance = Math.min(...own.map((ring) => distanceTo(ring, lon, lat)), roomAround(clear, lon, lat));
      if (distance > bestDistance) {
        bestDistance = distance;
        best = [lon, lat];
      }
    }
  }
  return best;
}

/** Degrees to the nearest point; names are broad and low, so what lies beside counts as nearer than what lies above. */
function roomAround(clear: Position[], lon: number, lat: number): number {
  let best = Infinity;
  for (const [x, y] of clear) best = Math.min(best, ((x - lon) / 2) ** 2 + (y - lat) ** 2);
  return Math.sqrt(best);
}

export function inside(own: Position[][], lon: number, lat: number): boolean {
  let odd = false;
  for (const ring of own) {
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [ax, ay] = ring[i];
      const [bx, by] = ring[j];
      if (ay > lat !== by > lat && lon < ((bx - ax) * (lat - ay)) / (by - ay) + ax) odd = !odd;
    }
  }
  return odd;
}

function distanceTo(ring: Position[], lon: number, lat: number): number {
  let best = Infinity;
  for (let i = 1; i < ring.length; i++) {
    const [ax, ay] = ring[i - 1];
    const dx = ring[i][0] - ax;
    const dy = ring[i][1] - ay;
    const along = Math.max(0, Math.min(1, ((lon - ax) * dx + (lat - ay) * dy) / (dx * dx + dy * dy || 1)));
    best = Math.min(best, Math.hypot(lon - ax - along * dx, lat - ay - along * dy));
  }
  return best;
}
