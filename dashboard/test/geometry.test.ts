import type { FeatureCollection } from 'geojson';
import { describe, expect, it } from 'vitest';

import { places, singleLines } from '../src/map/geometry';

const square: FeatureCollection = {
  type: 'FeatureCollection',
  features: [
    {
      type: 'Feature',
      properties: { code: '1', zh: '方', en: 'Square' },
      geometry: { type: 'Polygon', coordinates: [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]] },
    },
  ],
};

describe('the ground', () => {
  it('writes a name in the middle, but beside a road that lies there', () => {
    const [middle] = places(square);
    expect([middle.lon, middle.lat]).toEqual([2, 2]);
    const [beside] = places(square, [[1, 2], [2, 2], [3, 2]]);
    expect(Math.abs(beside.lat - 2)).toBeGreaterThan(0.8);
  });

  it('gives each part of a road its own feature with the road’s names', () => {
    const properties = { class: 'street', zh: '泽州路', en: 'Zezhou Road' };
    const parts = [[[0, 0], [1, 1]], [[1, 1], [2, 1]]];
    const roads: FeatureCollection = {
      type: 'FeatureCollection',
      features: [
        { type: 'Feature', properties, geometry: { type: 'MultiLineString', coordinates: parts } },
        { type: 'Feature', properties: {}, geometry: { type: 'Point', coordinates: [0, 0] } },
      ],
    };
    const { features } = singleLines(roads);
    expect(features.map((f) => f.geometry.coordinates)).toEqual(parts);
    expect(features.map((f) => f.properties)).toEqual([properties, properties]);
  });
});
