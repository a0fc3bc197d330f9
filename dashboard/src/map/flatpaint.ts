/** The 2D painter, for machines without WebGL: the same scene from the same store. */
import { DRAWN, type LayerStore } from '../live/entities';
import { STATE } from '../live/protocol';
import { COLOURS, MARK_STATE, glyphSizes, localMatrix, project, type Painter, type Scene, type View } from './scene';

const css = (state: number): string => `rgb(${COLOURS[state].join(' ')})`;

export class FlatPainter implements Painter {
  constructor(private readonly canvas: HTMLCanvasElement) {}

  paint(view: View, scene: Scene): boolean {
    const ctx = this.canvas.getContext('2d');
    if (!ctx) return false;
    const width = Math.round(view.width * view.dpr);
    const height = Math.round(view.height * view.dpr);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    ctx.setTransform(view.dpr, 0, 0, view.dpr, 0, 0);
    ctx.clearRect(0, 0, view.width, view.height);
    const local = localMatrix(view.matrix);
    for (const index of DRAWN) {
      if (!scene.off.has(index)) this.layer(ctx, local, view, scene.layers[index], scene.shown);
    }
    this.marks(ctx, local, view, scene);
    return true;
  }

  private layer(ctx: CanvasRenderingContext2D, local: Float64Array, view: View, layer: LayerStore, shown: number): void {
    const [normal, urgent] = glyphSizes(view.zoom, shown);
    const paths = COLOURS.map(() => new Path2D());
    for (let slot = 0; slot < layer.size; slot++) {
      if (!layer.shown(slot, view.nowMs)) continue;
      const at = project(local, view, layer.place[4 * slot + 2], layer.place[4 * slot + 3]);
      if (!at || at[0] < -20 || at[1] < -20 || at[0] > view.width + 20 || at[1] > view.height + 20) continue;
      const state = layer.age(slot, view.nowMs) > layer.traits.staleS ? STATE.UNKNOWN : layer.code[4 * slot];
      const size = (state === STATE.WARNING || state === STATE.ALARM ? urgent : normal) * view.scale * 0.5;
      glyph(paths[state], layer, slot, at, size, view.bearing);
    }
    for (const state of [STATE.UNKNOWN, STATE.NORMAL, STATE.BUSY, STATE.WARNING, STATE.ALARM]) {
      ctx.fillStyle = css(state);
      ctx.fill(paths[state]);
    }
  }

  private marks(ctx: CanvasRenderingContext2D, local: Float64Array, view: View, scene: Scene): void {
    const r = 10 * view.scale;
    for (const mark of scene.marks) {
      const at = project(local, view, mark.x, mark.y);
      if (!at) continue;
      const [x, y] = at;
      ctx.beginPath();
      if (mark.alert.severity === 'critical') ctx.rect(x - r, y - r, 2 * r, 2 * r);
      else if (mark.alert.severity === 'minor') ctx.arc(x, y, r, 0, 7);
      else {
        ctx.moveTo(x, y - r);
        ctx.lineTo(x + r, y + r * 0.7);
        ctx.lineTo(x - r, y + r * 0.7);
        ctx.closePath();
      }
      ctx.strokeStyle = mark.selected ? '#fff' : css(MARK_STATE[mark.alert.severity]);
      ctx.lineWidth = (mark.selected ? 3 : 2) * view.scale;
      ctx.stroke();
    }
  }

  gliding(): boolean {
    return false;
  }

  destroy(): void {
    this.canvas.width = 0;
  }
}

function glyph(path: Path2D, layer: LayerStore, slot: number, [x, y]: [number, number], r: number, bearing: number): void {
  const heading = layer.motion[3 * slot];
  if (layer.traits.glyph === 'arrow' && !Number.isNaN(heading) && r > 2) {
    const s = Math.sin(heading - bearing);
    const c = Math.cos(heading - bearing);
    const point = (dx: number, dy: number): [number, number] => [x + (c * dx - s * dy) * r, y + (s * dx + c * dy) * r];
    path.moveTo(...point(0, -0.95));
    path.lineTo(...point(0.75, 0.8));
    path.lineTo(...point(0, 0.55));
    path.lineTo(...point(-0.75, 0.8));
    path.closePath();
  } else if (layer.traits.glyph === 'square') {
    path.rect(x - r * 0.8, y - r * 0.8, 1.6 * r, 1.6 * r);
  } else {
    path.moveTo(x + r * 0.7, y);
    path.arc(x, y, r * 0.7, 0, 7);
  }
}
