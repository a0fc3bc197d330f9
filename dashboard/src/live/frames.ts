/** Binary state frames: a 16-byte header, then columns, widest first, all little endian. */
import { FRAME } from './protocol';

export interface Frame {
  kind: number;
  layer: number;
  tsMs: number;
  slot: Uint32Array;
  /** Absent in a REMOVE frame. */
  columns: FrameColumns | null;
}

export interface FrameColumns {
  lonE6: Int32Array;
  latE6: Int32Array;
  headingCdeg: Uint16Array;
  value: Uint16Array;
  ageS: Uint16Array;
  state: Uint8Array;
}

const HEADER = 16;
const ROW = 4 + 4 + 4 + 2 + 2 + 2 + 1;

/** Give the parts of a frame as views over its bytes; a malformed frame throws RangeError saying what is wrong. */
export function decodeFrame(bytes: ArrayBuffer): Frame {
  if (bytes.byteLength < HEADER) throw new RangeError(`frame of ${bytes.byteLength} bytes is shorter than its header`);
  const head = new DataView(bytes);
  const version = head.getUint8(0);
  const kind = head.getUint8(1);
  const layer = head.getUint16(2, true);
  const n = head.getUint32(4, true);
  const tsMs = Number(head.getBigUint64(8, true));
  if (version !== 1) throw new RangeError(`frame version ${version} is not known`);
  if (kind > FRAME.REMOVE) throw new RangeError(`frame kind ${kind} is not known`);
  const expected = HEADER + n * (kind === FRAME.REMOVE ? 4 : ROW);
  if (bytes.byteLength !== expected) {
    throw new RangeError(`frame says ${n} rows (${expected} bytes) but has ${bytes.byteLength} bytes`);
  }
  const slot = new Uint32Array(bytes, HEADER, n);
  return { kind, layer, tsMs, slot, columns: kind === FRAME.REMOVE ? null : columnsOf(bytes, n) };
}

function columnsOf(bytes: ArrayBuffer, n: number): FrameColumns {
  let at = HEADER + 4 * n;
  const next = (width: number): number => {
    const start = at;
    at += width * n;
    return start;
  };
  return {
    lonE6: new Int32Array(bytes, next(4), n),
    latE6: new Int32Array(bytes, next(4), n),
    headingCdeg: new Uint16Array(bytes, next(2), n),
    value: new Uint16Array(bytes, next(2), n),
    ageS: new Uint16Array(bytes, next(2), n),
    state: new Uint8Array(bytes, next(1), n),
  };
}
