import { readFileSync, readdirSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { COLUMNS, HEADER_BYTES } from '../src/generated/messages';
import { decodeFrame } from '../src/live/frames';
import { FRAME } from '../src/live/protocol';

const GOLDEN = new URL('../../tests/contract/golden/', import.meta.url);
const cases = readdirSync(GOLDEN)
  .filter((name) => name.startsWith('state_frame_') && name.endsWith('.bin'))
  .map((name) => name.replace('.bin', ''));

function bytes(name: string): ArrayBuffer {
  return Uint8Array.from(readFileSync(new URL(`${name}.bin`, GOLDEN))).buffer;
}

describe('state frames written by the server', () => {
  it('are there to be read', () => {
    expect(cases.length).toBeGreaterThanOrEqual(4);
  });

  it.each(cases)('%s means the same here', (name) => {
    const expected = JSON.parse(readFileSync(new URL(`${name}.json`, GOLDEN), 'utf8')) as {
      kind: number;
      layer: number;
      ts_ms: number;
      columns: Record<string, number[]>;
    };
    const frame = decodeFrame(bytes(name));
    expect([frame.kind, frame.layer, frame.tsMs]).toEqual([expected.kind, expected.layer, expected.ts_ms]);
    expect([...frame.slot]).toEqual(expected.columns.slot);
    if (expected.kind === FRAME.REMOVE) {
      expect(frame.columns).toBeNull();
      return;
    }
    expect({
      lon_e6: [...frame.columns!.lonE6],
      lat_e6: [...frame.columns!.latE6],
      heading_cdeg: [...frame.columns!.headingCdeg],
      value: [...frame.columns!.value],
      age_s: [...frame.columns!.ageS],
      state: [...frame.columns!.state],
      slot: expected.columns.slot,
    }).toEqual(expected.columns);
  });

  it('are refused when cut, lengthened or of another version', () => {
    const whole = bytes('state_frame_snapshot');
    for (let n = 0; n < whole.byteLength; n++) expect(() => decodeFrame(whole.slice(0, n))).toThrow(RangeError);
    const longer = new Uint8Array(whole.byteLength + 1);
    longer.set(new Uint8Array(whole));
    expect(() => decodeFrame(longer.buffer)).toThrow(/rows/);
    const other = new Uint8Array(whole.slice(0));
    other[0] = 2;
    expect(() => decodeFrame(other.buffer)).toThrow(/version 2/);
    other[0] = 1;
    other[1] = 9;
    expect(() => decodeFrame(other.buffer)).toThrow(/kind 9/);
  });

  it('have the layout this decoder was written for', () => {
    expect(HEADER_BYTES).toBe(16);
    expect(COLUMNS.map((c) => `${c.name}:${c.type}`).join(' ')).toBe(
      'slot:<u4 lon_e6:<i4 lat_e6:<i4 heading_cdeg:<u2 value:<u2 age_s:<u2 state:u1',
    );
  });
});
