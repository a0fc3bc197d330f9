/** The flat stage: outlines, roads and points on a 2D canvas, dragged and zoomed by hand; for machines without WebGL. */
import { effect } from '@preact/signals';

import { lang } from '../i18n';
import { outlines, paintGround } from './flatground';
import { dragged, viewOf, whole } from './flatview';
import { hands } from './hands';
import type { Camera, Stage, StageSetup } from './stage';

function groundCanvas(container: HTMLElement): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  canvas.className = 'map-ground';
  canvas.setAttribute('aria-hidden', 'true');
  container.appendChild(canvas);
  return canvas;
}

function whenResized(container: HTMLElement, run: () => void): () => void {
  const watching = new ResizeObserver(run);
  watching.observe(container);
  return () => watching.disconnect();
}

export function flatStage(setup: StageSetup): Stage {
  const { container, ground } = setup;
  const canvas = groundCanvas(container);
  const overlay = setup.overlay(container, true);
  let camera: Camera = setup.camera ?? whole(ground.bounds, container);
  const path = outlines(ground);

  function draw(): void {
    const view = viewOf(camera, container);
    paintGround(canvas, path, camera, view);
    overlay.see(view);
  }

  function move(next: Camera): void {
    camera = { ...next, zoom: Math.min(18, Math.max(6, next.zoom)) };
    draw();
    setup.moved(camera);
  }

  const zoomBy = (steps: number): void => move({ ...camera, zoom: camera.zoom + steps });
  const stops = [
    hands(container, {
      drag: (dx, dy) => move(dragged(camera, dx, dy)),
      zoom: zoomBy,
      click: (x, y) => setup.click(x, y, viewOf(camera, container)),
    }),
    whenResized(container, draw),
    effect(() => void (lang.value, draw())), // names of roads are drawn here
    () => overlay.destroy(),
    () => canvas.remove(),
  ];
  return {
    overlay,
    flyTo: (lon, lat) => move({ lon, lat, zoom: Math.max(camera.zoom, 12.5) }),
    fit: () => move(whole(ground.bounds, container)),
    zoomBy,
    destroy: () => stops.forEach((stop) => stop()),
  };
}
