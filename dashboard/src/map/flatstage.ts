/** The flat stage: outlines, roads and points on a 2D canvas, dragged and zoomed by hand; for machines without WebGL. */
import { mercator, lonLat } from '../live/entities';
import { lines, rings } from './geometry';
import { MAP_COLOURS as C, pageScale, pixelRatio, type Camera, type Stage, type StageSetup } from './stage';
import type { View } from './scene';

const TILE = 512;
const DRAG_SLOP = 4;

export function flatStage(setup: StageSetup): Stage {
  const { container, ground } = setup;
  const canvas = document.createElement('canvas');
  canvas.className = 'map-ground';
  canvas.setAttribute('aria-hidden', 'true');
  container.appendChild(canvas);
  const overlay = setup.overlay(container, true);
  let camera: Camera = setup.camera ?? whole();
  const path = outlines(setup);

  function whole(): Camera {
    const [west, south, east, north] = ground.bounds;
    const [x0, y0] = mercator(west, north);
    const [x1, y1] = mercator(east, south);
    const [lon, lat] = lonLat((x0 + x1) / 2, (y0 + y1) / 2);
    const room = Math.min(container.clientWidth / (x1 - x0), container.clientHeight / (y1 - y0)) * 0.92;
    return { lon, lat, zoom: Math.log2(Math.max(1, room) / TILE) };
  }

  function view(): View {
    const width = container.clientWidth;
    const height = container.clientHeight;
    const world = TILE * 2 ** camera.zoom;
    const [cx, cy] = mercator(camera.lon, camera.lat);
    const sx = (2 * world) / width;
    const sy = (-2 * world) / height;
    const matrix = [sx, 0, 0, 0, 0, sy, 0, 0, 0, 0, 1, 0, -cx * sx, -cy * sy, 0, 1];
    return { matrix, width, height, dpr: pixelRatio(), bearing: 0, zoom: camera.zoom, nowMs: 0, scale: pageScale() };
  }

  function draw(): void {
    const v = view();
    const ctx = canvas.getContext('2d');
    if (!ctx) return;
    canvas.width = Math.round(v.width * v.dpr);
    canvas.height = Math.round(v.height * v.dpr);
    const world = TILE * 2 ** camera.zoom * v.dpr;
    const [cx, cy] = mercator(camera.lon, camera.lat);
    ctx.fillStyle = C.ground;
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.setTransform(world, 0, 0, world, canvas.width / 2 - cx * world, canvas.height / 2 - cy * world);
    ctx.fillStyle = C.county;
    ctx.fill(path.counties, 'evenodd');
    ctx.lineWidth = (v.scale * v.dpr) / world;
    ctx.strokeStyle = C.road;
    ctx.stroke(path.roads);
    ctx.strokeStyle = C.border;
    ctx.stroke(path.counties);
    overlay.see(v);
  }

  function move(next: Camera): void {
    camera = { ...next, zoom: Math.min(18, Math.max(6, next.zoom)) };
    draw();
    setup.moved(camera);
  }

  const release = hands(container, {
    drag(dx, dy) {
      const world = TILE * 2 ** camera.zoom;
      const [x, y] = mercator(camera.lon, camera.lat);
      const [lon, lat] = lonLat(x - dx / world, y - dy / world);
      move({ ...camera, lon, lat });
    },
    zoom: (steps) => move({ ...camera, zoom: camera.zoom + steps }),
    click: (x, y) => setup.click(x, y, view()),
  });
  const resized = new ResizeObserver(draw);
  resized.observe(container);
  return {
    overlay,
    flyTo: (lon, lat) => move({ lon, lat, zoom: Math.max(camera.zoom, 12.5) }),
    fit: () => move(whole()),
    zoomBy: (steps) => move({ ...camera, zoom: camera.zoom + steps }),
    destroy() {
      release();
      resized.disconnect();
      overlay.destroy();
      canvas.remove();
    },
  };
}

function outlines({ ground }: StageSetup): { counties: Path2D; roads: Path2D } {
  const trace = (path: Path2D, points: number[][]): void =>
    points.forEach(([lon, lat], i) => (i ? path.lineTo(...mercator(lon, lat)) : path.moveTo(...mercator(lon, lat))));
  const counties = new Path2D();
  const roads = new Path2D();
  for (const { ring } of rings(ground.boundaries)) trace(counties, ring);
  for (const line of lines(ground.roads)) trace(roads, line);
  return { counties, roads };
}

interface Gestures {
  drag(dx: number, dy: number): void;
  zoom(steps: number): void;
  click(x: number, y: number): void;
}

function hands(container: HTMLElement, on: Gestures): () => void {
  let from: { x: number; y: number; moved: boolean } | null = null;
  const controller = new AbortController();
  const { signal } = controller;
  const down = (e: PointerEvent): void => {
    from = { x: e.clientX, y: e.clientY, moved: false };
    container.setPointerCapture(e.pointerId);
  };
  const move = (e: PointerEvent): void => {
    if (!from || (!from.moved && Math.hypot(e.clientX - from.x, e.clientY - from.y) < DRAG_SLOP)) return;
    on.drag(e.clientX - from.x, e.clientY - from.y);
    from = { x: e.clientX, y: e.clientY, moved: true };
  };
  const up = (e: PointerEvent): void => {
    const box = container.getBoundingClientRect();
    if (from && !from.moved) on.click(e.clientX - box.left, e.clientY - box.top);
    from = null;
  };
  const wheel = (e: WheelEvent): void => {
    e.preventDefault();
    on.zoom(-e.deltaY / 300);
  };
  container.addEventListener('pointerdown', down, { signal });
  container.addEventListener('pointermove', move, { signal });
  container.addEventListener('pointerup', up, { signal });
  container.addEventListener('wheel', wheel, { signal, passive: false });
  return () => controller.abort();
}
