/** The WebGL2 painter: its own canvas above the map, so that news of entities never repaints the basemap. */
import { DRAWN, type LayerStore, type LayerTraits } from '../live/entities';
import type { Severity } from '../live/protocol';
import { COLOURS, MARK_STATE, glyphSizes, localMatrix, type Mark, type Painter, type Scene, type View } from './scene';
import { FRAGMENT, VERTEX } from './shaders';

const GLYPH: Record<LayerTraits['glyph'] | Severity, number> = {
  arrow: 0,
  disc: 1,
  square: 2,
  diamond: 3,
  dot: 4,
  critical: 5,
  major: 6,
  minor: 7,
};
const GLIDE_S = 1;
const UNIFORMS = ['matrix', 'now', 'glide', 'stale', 'gone', 'bearing', 'urgent', 'sizes', 'palette', 'glyph'] as const;
type Uniform = (typeof UNIFORMS)[number];

interface Columns {
  place: Float32Array;
  motion: Float32Array;
  code: Uint8Array;
}

/** Three vertex buffers of one layer and what they hold. */
interface Buffers {
  array: WebGLVertexArrayObject;
  place: WebGLBuffer;
  motion: WebGLBuffer;
  code: WebGLBuffer;
  room: number;
  version: number;
}

export function softwareRenderer(gl: WebGL2RenderingContext): boolean {
  const info = gl.getExtension('WEBGL_debug_renderer_info');
  const name = info ? String(gl.getParameter(info.UNMASKED_RENDERER_WEBGL)) : '';
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

export class GlPainter implements Painter {
  private program: WebGLProgram;
  private readonly at = {} as Record<Uniform, WebGLUniformLocation | null>;
  private readonly held = new Map<LayerStore, Buffers>();
  private readonly markBuffers = new Map<Severity, Buffers>();
  private readonly glide: number;
  private lastMove = 0;

  constructor(
    private readonly gl: WebGL2RenderingContext,
    still: boolean,
  ) {
    this.glide = still || softwareRenderer(gl) ? 0 : GLIDE_S;
    this.program = this.link();
    for (const name of UNIFORMS) this.at[name] = gl.getUniformLocation(this.program, name);
  }

  private link(): WebGLProgram {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [type, text] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ] as const) {
      const shader = gl.createShader(type);
      if (!shader) throw new Error('WebGL context is lost');
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? 'shaders do not link');
    return program;
  }

  paint(view: View, scene: Scene): boolean {
    const { gl } = this;
    if (gl.isContextLost()) return false;
    const width = Math.round(view.width * view.dpr);
    const height = Math.round(view.height * view.dpr);
    if (gl.canvas.width !== width || gl.canvas.height !== height) {
      gl.canvas.width = width;
      gl.canvas.height = height;
    }
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.useProgram(this.program);
    gl.uniformMatrix4fv(this.at.matrix, false, Float32Array.from(localMatrix(view.matrix)));
    gl.uniform3fv(this.at.palette, COLOURS.flat().map((c) => c / 255));
    gl.uniform1f(this.at.glide, this.glide);
    gl.uniform1f(this.at.bearing, view.bearing);
    this.paintLayers(view, scene);
    this.paintMarks(view, scene);
    gl.bindVertexArray(null);
    return true;
  }

  gliding(nowMs: number): boolean {
    return this.glide > 0 && nowMs - this.lastMove < 1000 * this.glide;
  }

  /** Normal glyphs of all layers first, stations below vehicles; what is abnormal lies on top. */
  private paintLayers(view: View, scene: Scene): void {
    const { gl, at } = this;
    const unit = view.dpr * view.scale;
    const [normal, urgent] = glyphSizes(view.zoom, scene.shown);
    for (const pass of [0, 1]) {
      for (const index of DRAWN) {
        const layer = scene.layers[index];
        if (scene.off.has(index) || layer.size === 0) continue;
        const { glyph, staleS, goneS } = layer.traits;
        const station = glyph === 'arrow' ? 1 : glyph === 'dot' ? 0.6 : 0.95;
        gl.bindVertexArray(this.upload(layer, view.nowMs).array);
        gl.uniform1f(at.now, (view.nowMs - layer.base) / 1000);
        gl.uniform1f(at.stale, staleS);
        gl.uniform1f(at.gone, goneS);
        gl.uniform1f(at.urgent, pass);
        gl.uniform2f(at.sizes, normal * station * unit, urgent * station * unit);
        gl.uniform1i(at.glyph, GLYPH[glyph]);
        gl.drawArrays(gl.POINTS, 0, layer.size);
      }
    }
  }

  private upload(layer: LayerStore, nowMs: number): Buffers {
    let buffers = this.held.get(layer);
    if (!buffers) this.held.set(layer, (buffers = this.create()));
    if (buffers.version !== layer.version) {
      this.fill(buffers, layer, layer.size);
      buffers.version = layer.version;
      this.lastMove = nowMs;
    }
    return buffers;
  }

  private paintMarks(view: View, scene: Scene): void {
    const { gl, at } = this;
    gl.uniform1f(at.urgent, 2);
    gl.uniform1f(at.stale, 1e12);
    gl.uniform1f(at.gone, 0);
    gl.uniform1f(at.now, 0);
    const size = 24 * view.dpr * view.scale;
    gl.uniform2f(at.sizes, size, size);
    for (const severity of ['minor', 'major', 'critical'] as const) {
      const marks = scene.marks.filter((m) => m.alert.severity === severity);
      if (marks.length === 0) continue;
      let buffers = this.markBuffers.get(severity);
      if (!buffers) this.markBuffers.set(severity, (buffers = this.create()));
      this.fill(buffers, markColumns(marks), marks.length);
      gl.bindVertexArray(buffers.array);
      gl.uniform1i(at.glyph, GLYPH[severity]);
      gl.drawArrays(gl.POINTS, 0, marks.length);
    }
  }

  private create(): Buffers {
    const { gl } = this;
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    const attribute = (index: number, width: number, type: number): WebGLBuffer => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(index);
      gl.vertexAttribPointer(index, width, type, false, 0, 0);
      return buffer;
    };
    const place = attribute(0, 4, gl.FLOAT);
    const motion = attribute(1, 3, gl.FLOAT);
    const code = attribute(2, 4, gl.UNSIGNED_BYTE);
    return { array, place, motion, code, room: 0, version: -1 };
  }

  private fill(buffers: Buffers, from: Columns, count: number): void {
    const { gl } = this;
    const room = from.code.length / 4;
    const put = (buffer: WebGLBuffer, column: Float32Array | Uint8Array, width: number): void => {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      if (buffers.room !== room) gl.bufferData(gl.ARRAY_BUFFER, column, gl.DYNAMIC_DRAW);
      else gl.bufferSubData(gl.ARRAY_BUFFER, 0, column, 0, width * count);
    };
    put(buffers.place, from.place, 4);
    put(buffers.motion, from.motion, 3);
    put(buffers.code, from.code, 4);
    buffers.room = room;
  }

  destroy(): void {
    const { gl } = this;
    if (gl.isContextLost()) return;
    for (const b of [...this.held.values(), ...this.markBuffers.values()]) {
      gl.deleteVertexArray(b.array);
      for (const buffer of [b.place, b.motion, b.code]) gl.deleteBuffer(buffer);
    }
    gl.deleteProgram(this.program);
  }
}

function markColumns(marks: Mark[]): Columns {
  const place = new Float32Array(4 * marks.length);
  const motion = new Float32Array(3 * marks.length).fill(NaN);
  const code = new Uint8Array(4 * marks.length);
  marks.forEach((mark, i) => {
    place.set([mark.x, mark.y, mark.x, mark.y], 4 * i);
    motion[3 * i + 1] = 0;
    code.set([MARK_STATE[mark.alert.severity], 0, 1, mark.selected ? 1 : 0], 4 * i);
  });
  return { place, motion, code };
}
