import { describe, expect, it } from 'vitest';

import { DRAWN, Entities, TRAITS, lonLat, mercator } from '../src/live/entities';
import { FRAME, LAYERS, NO_U16, STATE } from '../src/live/protocol';
import { pack, type Row } from './frame';

const BASE = 1_764_000_000_000;
const BUS = 0;
const BIKES = 4;

function shownPlaces(entities: Entities, layer: number, nowMs = BASE): Map<number, string> {
  const store = entities.layers[layer];
  const out = new Map<number, string>();
  for (let slot = 0; slot < store.size; slot++) {
    if (store.shown(slot, nowMs)) out.set(slot, store.lonLat(slot).map((d) => d.toFixed(5)).join(','));
  }
  return out;
}

describe('the store of entities', () => {
  it('keeps places to better than a metre', () => {
    const entities = new Entities(BASE);
    entities.apply(pack(FRAME.SNAPSHOT, BUS, BASE, [{ slot: 3, lon: 112.123456, lat: 35.654321 }]));
    const [lon, lat] = entities.layers[BUS].lonLat(3);
    expect(Math.abs(lon - 112.123456)).toBeLessThan(5e-6);
    expect(Math.abs(lat - 35.654321)).toBeLessThan(5e-6);
    const back = lonLat(...mercator(112.5, 35.7));
    expect(back[0]).toBeCloseTo(112.5, 9);
    expect(back[1]).toBeCloseTo(35.7, 9);
  });

  it('is after a snapshot and changes what a snapshot of the end would be', () => {
    const random = mulberry(11);
    const live = new Entities(BASE);
    const truth = new Map<number, Row>();
    live.apply(pack(FRAME.SNAPSHOT, BUS, BASE, []));
    for (let step = 0; step < 200; step++) {
      const slot = Math.floor(random() * 400);
      if (random() < 0.25) {
        truth.delete(slot);
        live.apply(pack(FRAME.REMOVE, BUS, BASE, [{ slot }]));
      } else {
        const row = { slot, lon: 112 + random(), lat: 35 + random(), state: Math.floor(random() * 5) };
        truth.set(slot, row);
        live.apply(pack(FRAME.DELTA, BUS, BASE, [row]));
      }
    }
    const whole = new Entities(BASE);
    whole.apply(pack(FRAME.SNAPSHOT, BUS, BASE, [...truth.values()]));
    expect(shownPlaces(live, BUS)).toEqual(shownPlaces(whole, BUS));
    expect(live.layers[BUS].summary(BASE)).toEqual(whole.layers[BUS].summary(BASE));
    expect(truth.size).toBeGreaterThan(50);
  });

  it('refuses and counts impossible places, slots, layers and frames, and keeps the rest', () => {
    const entities = new Entities(BASE);
    const rows = [{ slot: 0 }, { slot: 1, lat: 90 }, { slot: 2, lon: 0, lat: 0 }, { slot: 4_000_000_000 }];
    entities.apply(pack(FRAME.SNAPSHOT, BUS, BASE, rows));
    expect(shownPlaces(entities, BUS).size).toBe(1);
    expect(entities.refusedRows).toBe(3);
    entities.apply(pack(FRAME.SNAPSHOT, 99, BASE, []));
    entities.apply(new ArrayBuffer(3));
    expect(entities.refusedFrames).toBe(2);
  });

  it('greys vehicles after a minute of silence and takes them off after three; stations stay', () => {
    const entities = new Entities(BASE);
    entities.apply(pack(FRAME.SNAPSHOT, BUS, BASE, [{ slot: 0, age: 10, state: STATE.BUSY }, { slot: 1, age: NO_U16 }]));
    entities.apply(pack(FRAME.SNAPSHOT, BIKES, BASE, [{ slot: 0, age: 10 }]));
    const at = (s: number) => entities.layers[BUS].summary(BASE + 1000 * s);
    expect(at(40)).toMatchObject({ shown: 1, stale: 0, gone: 1, states: [0, 1, 0, 0, 0] });
    expect(at(60)).toMatchObject({ shown: 1, stale: 1 });
    expect(at(180)).toMatchObject({ shown: 0, gone: 2 });
    expect(entities.layers[BIKES].summary(BASE + 3_600_000)).toMatchObject({ shown: 1, stale: 1, gone: 0 });
  });

  it('draws the old picture on until the snapshot of a new numbering has come', () => {
    const entities = new Entities(BASE);
    entities.name({ op: 'names', layer: BUS, slots: [0], sources: ['old'], labels: ['旧'] });
    entities.apply(pack(FRAME.SNAPSHOT, BUS, BASE, [{ slot: 0 }]));
    entities.renew();
    expect(shownPlaces(entities, BUS).size).toBe(1);
    expect(entities.layers[BUS].sources[0]).toBe('old');
    entities.name({ op: 'names', layer: BUS, slots: [1], sources: ['new'], labels: ['新'] });
    entities.apply(pack(FRAME.SNAPSHOT, BUS, BASE, [{ slot: 1 }]));
    expect(entities.layers[BUS].sources).toEqual([undefined, 'new']);
    expect([...shownPlaces(entities, BUS).keys()]).toEqual([1]);
  });

  it('draws every layer once, stations below vehicles, buses on top', () => {
    expect([...DRAWN].sort((a, b) => a - b)).toEqual(LAYERS.map((_, i) => i));
    const arrows = DRAWN.map((i) => TRAITS[LAYERS[i]].glyph === 'arrow');
    expect(arrows.slice(arrows.indexOf(true))).not.toContain(false);
    expect(DRAWN.at(-1)).toBe(BUS);
  });

  it('fills a node by what its value stands for, not by the number on the wire', () => {
    const entities = new Entities(BASE);
    const water = LAYERS.indexOf('water_node');
    entities.apply(pack(FRAME.SNAPSHOT, water, BASE, [{ slot: 0, value: 300 }, { slot: 1, value: 900 }]));
    expect([0, 1].map((slot) => entities.layers[water].code[4 * slot + 1])).toEqual([128, 255]);
  });

  it('fills a station by its level', () => {
    const entities = new Entities(BASE);
    entities.apply(pack(FRAME.SNAPSHOT, BIKES, BASE, [{ slot: 0, value: 15 }, { slot: 1, value: NO_U16 }, { slot: 2, value: 900 }]));
    const level = (slot: number) => entities.layers[BIKES].code[4 * slot + 1];
    expect([level(0), level(1), level(2)]).toEqual([128, 0, 255]);
  });
});

function mulberry(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
