/** Where the flat map is looked at from: cameras and the view they give, without anything drawn. */
import { lonLat, mercator } from '../live/entities';
import type { Bounds } from './geometry';
import type { View } from './scene';
import { pageScale, pixelRatio, type Camera } from './stage';

const TILE = 512;

/** A size in CSS pixels. */
export interface Room {
  clientWidth: number;
  clientHeight: number;
}

/** CSS pixels of the whole world's width at that zoom. */
export const worldOf = (zoom: number): number => TILE * 2 ** zoom;

/** The camera that shows all of the bounds. */
export function whole([west, south, east, north]: Bounds, room: Room): Camera {
  const [x0, y0] = mercator(west, north);
  const [x1, y1] = mercator(east, south);
  const [lon, lat] = lonLat((x0 + x1) / 2, (y0 + y1) / 2);
  const fits = Math.min(room.clientWidth / (x1 - x0), room.clientHeight / (y1 - y0)) * 0.92;
  return { lon, lat, zoom: Math.log2(Math.max(1, fits) / TILE) };
}

/** The camera after the ground was dragged by CSS pixels. */
export function dragged(camera: Camera, dx: number, dy: number): Camera {
  const world = worldOf(camera.zoom);
  const [x, y] = mercator(camera.lon, camera.lat);
  const [lon, lat] = lonLat(x - dx / world, y - dy / world);
  return { ...camera, lon, lat };
}

export function viewOf(camera: Camera, { clientWidth: width, clientHeight: height }: Room): View {
  const world = worldOf(camera.zoom);
  const [cx, cy] = mercator(camera.lon, camera.lat);
  const sx = (2 * world) / width;
  const sy = (-2 * world) / height;
  const matrix = [sx, 0, 0, 0, 0, sy, 0, 0, 0, 0, 1, 0, -cx * sx, -cy * sy, 0, 1];
  return { matrix, width, height, dpr: pixelRatio(), bearing: 0, zoom: camera.zoom, nowMs: 0, scale: pageScale() };
}
