/** Dragging, zooming and clicking the flat map. */
const DRAG_SLOP = 4;

export interface Gestures {
  drag(dx: number, dy: number): void;
  zoom(steps: number): void;
  click(x: number, y: number): void;
}

/** Tell drags, wheel turns and clicks of a pointer over the element; gives the function that stops it. */
export function hands(container: HTMLElement, on: Gestures): () => void {
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
