/** What the map shows: one flat typed-array store per layer, updated in place and read by the painters. */
import { decodeFrame, type Frame, type FrameColumns } from './frames';
import { FRAME, LAYERS, NO_U16, STATE, VALUE, type LayerKind, type Names } from './protocol';

/** Origin of local coordinates (web mercator 0..1), in the city: 32-bit floats stay exact to a centimetre. */
export const ORIGIN = mercator(112.85, 35.5);
const MAX_SLOT = 2_000_000;
const UNKNOWN_AGE = -1e9;

export function mercator(lon: number, lat: number): [x: number, y: number] {
  const s = Math.sin((lat * Math.PI) / 180);
  return [lon / 360 + 0.5, 0.5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI)];
}

export function lonLat(x: number, y: number): [lon: number, lat: number] {
  return [(x - 0.5) * 360, (Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) * 360) / Math.PI - 90];
}

export interface LayerTraits {
  glyph: 'arrow' | 'disc' | 'square' | 'diamond' | 'dot';
  /** Seconds without news after which an entity is grey, and after which it leaves the map (0: never). */
  staleS: number;
  goneS: number;
  /** Value that fills the glyph wholly; 0 shows no level. */
  full: number;
}

const VEHICLE: LayerTraits = { glyph: 'arrow', staleS: 60, goneS: 180, full: 0 };
export const TRAITS: Record<LayerKind, LayerTraits> = {
  bus_position: VEHICLE,
  taxi_position: VEHICLE,
  coach_position: VEHICLE,
  hazmat_position: VEHICLE,
  bike_station: { glyph: 'disc', staleS: 360, goneS: 0, full: 30 },
  dust_station: { glyph: 'square', staleS: 240, goneS: 0, full: 300 },
  traffic_detector: { glyph: 'diamond', staleS: 900, goneS: 0, full: 20 },
  bike_vehicle: { glyph: 'dot', staleS: 900, goneS: 3600, full: 0 },
  ride_hailing_position: VEHICLE,
  ev_battery: { glyph: 'disc', staleS: 90, goneS: 300, full: 100 },
  traffic_link: { glyph: 'diamond', staleS: 900, goneS: 0, full: 20 },
  streetlight: { glyph: 'dot', staleS: 900, goneS: 0, full: 0 },
  water_node: { glyph: 'disc', staleS: 900, goneS: 0, full: 600_000 },
  gas_node: { glyph: 'diamond', staleS: 900, goneS: 0, full: 50 },
  heat_substation: { glyph: 'square', staleS: 900, goneS: 0, full: 120 },
  power_load: { glyph: 'square', staleS: 900, goneS: 0, full: 100 },
};

/** Layers in the order they are drawn, stations below vehicles; within each, the first layer lies on top. */
export const DRAWN: readonly number[] = LAYERS.map((_, i) => i)
  .reverse()
  .sort((a, b) => Number(TRAITS[LAYERS[a]].glyph === 'arrow') - Number(TRAITS[LAYERS[b]].glyph === 'arrow'));

export interface LayerSummary {
  /** Shown on the map, fresh or grey. */
  shown: number;
  stale: number;
  /** Silent for so long that they left the map. */
  gone: number;
  states: [number, number, number, number, number];
}

export class LayerStore {
  /** One more than the highest slot in use. */
  size = 0;
  /** Bumped by every change; painters upload when it differs from what they hold. */
  version = 0;
  /** x, y before the last move, x, y now: offsets from ORIGIN. */
  place = new Float32Array(0);
  /** Heading in radians (NaN: none), moment of the reading and moment of the last move, seconds since `base`. */
  motion = new Float32Array(0);
  /** State, level 0..255, present 0/1, spare. */
  code = new Uint8Array(0);
  value = new Uint16Array(0);
  sources: string[] = [];
  labels: string[] = [];
  readonly traits: LayerTraits;
  private renewing = false;

  constructor(
    readonly kind: LayerKind,
    /** Milliseconds since 1970 that second 0 of `motion` stands for. */
    readonly base: number,
  ) {
    this.traits = TRAITS[kind];
  }

  /** The next names begin a new numbering of slots; what is drawn stays until its snapshot comes. */
  renew(): void {
    this.renewing = true;
  }

  name(message: Names): void {
    if (this.renewing) {
      this.sources = [];
      this.labels = [];
      this.renewing = false;
    }
    message.slots.forEach((slot, i) => {
      if (slot >= MAX_SLOT) return;
      this.sources[slot] = message.sources[i];
      this.labels[slot] = message.labels[i];
    });
  }

  /** Apply a frame and give the number of rows refused for impossible coordinates or slots. */
  apply(frame: Frame): number {
    this.version += 1;
    if (frame.kind === FRAME.SNAPSHOT) {
      for (let i = 0; i < this.size; i++) this.code[4 * i + 2] = 0;
    }
    if (frame.columns === null) {
      for (const slot of frame.slot) if (slot < this.size) this.code[4 * slot + 2] = 0;
      return 0;
    }
    return this.write(frame, frame.columns);
  }

  private write(frame: Frame, columns: FrameColumns): number {
    const at = (frame.tsMs - this.base) / 1000;
    const factor = VALUE[this.kind].factor;
    let refused = 0;
    for (let i = 0; i < frame.slot.length; i++) {
      const slot = frame.slot[i];
      const lon = columns.lonE6[i] / 1e6;
      const lat = columns.latE6[i] / 1e6;
      if (slot >= MAX_SLOT || Math.abs(lon) > 180 || Math.abs(lat) > 85 || (lon === 0 && lat === 0)) {
        refused += 1;
        continue;
      }
      this.reserve(slot + 1);
      this.move(slot, lon, lat, at);
      const heading = columns.headingCdeg[i];
      this.motion[3 * slot] = heading === NO_U16 ? NaN : (heading / 100) * (Math.PI / 180);
      this.motion[3 * slot + 1] = columns.ageS[i] === NO_U16 ? UNKNOWN_AGE : at - columns.ageS[i];
      const value = columns.value[i];
      this.value[slot] = value;
      const level = value === NO_U16 || !this.traits.full ? 0 : value / factor / this.traits.full;
      this.code[4 * slot] = Math.min(columns.state[i], STATE.UNKNOWN);
      this.code[4 * slot + 1] = Math.round(255 * Math.min(1, level));
      this.code[4 * slot + 2] = 1;
    }
    return refused;
  }

  private move(slot: number, lon: number, lat: number, at: number): void {
    const [mx, my] = mercator(lon, lat);
    const x = mx - ORIGIN[0];
    const y = my - ORIGIN[1];
    const p = 4 * slot;
    const known = this.code[4 * slot + 2] === 1;
    this.place[p] = known ? this.place[p + 2] : x;
    this.place[p + 1] = known ? this.place[p + 3] : y;
    this.place[p + 2] = x;
    this.place[p + 3] = y;
    this.motion[3 * slot + 2] = at;
  }

  private reserve(size: number): void {
    if (size > this.size) this.size = size;
    if (size <= this.value.length) return;
    const room = Math.max(256, 2 ** Math.ceil(Math.log2(size)));
    this.place = grown(this.place, new Float32Array(4 * room));
    this.motion = grown(this.motion, new Float32Array(3 * room));
    this.code = grown(this.code, new Uint8Array(4 * room));
    this.value = grown(this.value, new Uint16Array(room));
  }

  present(slot: number): boolean {
    return slot < this.size && this.code[4 * slot + 2] === 1;
  }

  /** Seconds since the entity's reading; Infinity if unknown. */
  age(slot: number, nowMs: number): number {
    const at = this.motion[3 * slot + 1];
    return at === UNKNOWN_AGE ? Infinity : Math.max(0, (nowMs - this.base) / 1000 - at);
  }

  /** Whether the entity is on the map now. */
  shown(slot: number, nowMs: number): boolean {
    return this.present(slot) && (this.traits.goneS === 0 || this.age(slot, nowMs) <= this.traits.goneS);
  }

  lonLat(slot: number): [lon: number, lat: number] {
    return lonLat(this.place[4 * slot + 2] + ORIGIN[0], this.place[4 * slot + 3] + ORIGIN[1]);
  }

  summary(nowMs: number): LayerSummary {
    const out: LayerSummary = { shown: 0, stale: 0, gone: 0, states: [0, 0, 0, 0, 0] };
    for (let slot = 0; slot < this.size; slot++) {
      if (!this.present(slot)) continue;
      const age = this.age(slot, nowMs);
      if (this.traits.goneS > 0 && age > this.traits.goneS) {
        out.gone += 1;
        continue;
      }
      out.shown += 1;
      if (age > this.traits.staleS) out.stale += 1;
      else out.states[this.code[4 * slot]] += 1;
    }
    return out;
  }
}

function grown<T extends Float32Array | Uint8Array | Uint16Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** All layers; refuses what it cannot read and counts it. */
export class Entities {
  readonly layers: LayerStore[];
  refusedRows = 0;
  refusedFrames = 0;

  constructor(base: number) {
    this.layers = LAYERS.map((kind) => new LayerStore(kind, base));
  }

  renew(): void {
    for (const layer of this.layers) layer.renew();
  }

  name(message: Names): void {
    this.layers[message.layer]?.name(message);
  }

  apply(bytes: ArrayBuffer): void {
    try {
      const frame = decodeFrame(bytes);
      const layer = this.layers[frame.layer];
      if (layer === undefined) throw new RangeError(`layer ${frame.layer} is not known`);
      this.refusedRows += layer.apply(frame);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.refusedFrames += 1;
    }
  }
}
