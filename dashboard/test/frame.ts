/** Writes state frames for tests. */
export interface Row {
  slot: number;
  lon?: number;
  lat?: number;
  heading?: number;
  value?: number;
  age?: number;
  state?: number;
}

export function pack(kind: number, layer: number, tsMs: number, rows: Row[]): ArrayBuffer {
  const remove = kind === 2;
  const n = rows.length;
  const view = new DataView(new ArrayBuffer(16 + n * (remove ? 4 : 19)));
  view.setUint8(0, 1);
  view.setUint8(1, kind);
  view.setUint16(2, layer, true);
  view.setUint32(4, n, true);
  view.setBigUint64(8, BigInt(tsMs), true);
  rows.forEach((r, i) => {
    view.setUint32(16 + 4 * i, r.slot, true);
    if (remove) return;
    view.setInt32(16 + 4 * n + 4 * i, Math.round((r.lon ?? 112.85) * 1e6), true);
    view.setInt32(16 + 8 * n + 4 * i, Math.round((r.lat ?? 35.5) * 1e6), true);
    view.setUint16(16 + 12 * n + 2 * i, r.heading ?? 65535, true);
    view.setUint16(16 + 14 * n + 2 * i, r.value ?? 65535, true);
    view.setUint16(16 + 16 * n + 2 * i, r.age ?? 0, true);
    view.setUint8(16 + 18 * n + i, r.state ?? 0);
  });
  return view.buffer as ArrayBuffer;
}
