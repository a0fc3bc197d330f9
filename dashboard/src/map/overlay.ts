/** The canvas above the basemap: picks a painter, survives a lost WebGL context, draws at most once per animation frame. */
import { FlatPainter } from './flatpaint';
import { GlPainter } from './gl';
import type { Painter, Scene, View } from './scene';

/** A lost context that does not come back within this time is replaced by the 2D painter. */
const CONTEXT_PATIENCE_MS = 10_000;

export class Overlay {
  private canvas: HTMLCanvasElement;
  private painter: Painter | null = null;
  private view: View | null = null;
  private frame = 0;
  private patience = 0;

  constructor(
    private readonly parent: HTMLElement,
    private readonly scene: () => Scene,
    private readonly nowMs: () => number,
    private readonly options: { still: boolean; flat: boolean },
    private readonly drawn: (view: View) => void,
  ) {
    this.canvas = this.place();
    if (options.flat) this.painter = new FlatPainter(this.canvas);
    else this.startGl();
  }

  private place(): HTMLCanvasElement {
    const canvas = document.createElement('canvas');
    canvas.className = 'map-overlay';
    canvas.setAttribute('aria-hidden', 'true');
    this.parent.appendChild(canvas);
    return canvas;
  }

  private startGl(): void {
    const { canvas } = this;
    const gl = canvas.getContext('webgl2', { alpha: true, antialias: false, depth: false, stencil: false });
    if (!gl) {
      this.fallBack();
      return;
    }
    this.painter = new GlPainter(gl, this.options.still);
    canvas.addEventListener('webglcontextlost', (event) => {
      event.preventDefault();
      this.painter = null;
      this.patience = window.setTimeout(() => this.fallBack(), CONTEXT_PATIENCE_MS);
    });
    canvas.addEventListener('webglcontextrestored', () => {
      clearTimeout(this.patience);
      this.painter = new GlPainter(gl, this.options.still);
      this.request();
    });
  }

  /** A canvas that once gave a WebGL context gives no other: take a new one. */
  private fallBack(): void {
    this.canvas.remove();
    this.canvas = this.place();
    this.painter = new FlatPainter(this.canvas);
    this.request();
  }

  /** The camera moved: draw now, in step with the basemap. */
  see(view: View): void {
    this.view = view;
    this.draw();
  }

  /** The scene changed: draw soon. */
  request(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  current(): View | null {
    return this.view;
  }

  private draw(): void {
    if (!this.view || !this.painter) return;
    this.view.nowMs = this.nowMs();
    this.painter.paint(this.view, this.scene());
    this.drawn(this.view);
    if (this.painter.gliding(this.view.nowMs)) this.request();
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.patience);
    this.painter?.destroy();
    this.painter = null;
    this.canvas.remove();
  }
}
