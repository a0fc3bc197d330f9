/** How MapLibre paints the ground: counties, streets below trunk roads, their names only when near. */
import type { FeatureCollection } from 'geojson';
import type { ExpressionSpecification, LayerSpecification, StyleSpecification } from 'maplibre-gl';

import type { Lang } from '../live/protocol';
import { singleLines } from './geometry';
import { MAP_COLOURS as C, ROAD_NAMES_FROM, TRUNKS, type Ground } from './stage';

type Width = (...stops: number[]) => ExpressionSpecification;

const trunk: ExpressionSpecification = ['in', ['get', 'class'], ['literal', TRUNKS]];
const street: ExpressionSpecification = ['!', trunk];
const bend = { 'line-cap': 'round', 'line-join': 'round' } as const;

/** Zoom and value in turn, values growing with the page's text. */
const growing =
  (scale: number): Width =>
  (...stops) =>
    ['interpolate', ['linear'], ['zoom'], ...stops.map((v, i) => (i % 2 ? v * scale : v))] as unknown as ExpressionSpecification;

export const NAME_LAYERS = ['street-name', 'trunk-name'] as const;

/** The property that holds a road's name in that language. */
export const nameIn = (lang: Lang): ExpressionSpecification => ['get', lang === 'en' ? 'en' : 'zh'];

function areas(width: Width): LayerSpecification[] {
  return [
    { id: 'ground', type: 'background', paint: { 'background-color': C.ground } },
    { id: 'county', type: 'fill', source: 'counties', paint: { 'fill-color': C.county } },
    {
      id: 'border',
      type: 'line',
      source: 'counties',
      layout: { 'line-join': 'round' },
      paint: { 'line-color': C.border, 'line-width': width(8, 1.2, 12, 2) },
    },
  ];
}

function roads(width: Width): LayerSpecification[] {
  return [
    {
      id: 'street',
      type: 'line',
      source: 'roads',
      filter: street,
      layout: bend,
      paint: { 'line-color': C.road, 'line-width': width(8, 0.4, 11, 0.9, 14, 3, 17, 12) },
    },
    {
      id: 'trunk',
      type: 'line',
      source: 'roads',
      filter: trunk,
      layout: bend,
      paint: { 'line-color': C.main, 'line-width': width(7, 0.8, 9, 1.3, 11, 1.8, 14, 5, 17, 15) },
    },
  ];
}

function names(width: Width, scale: number, lang: Lang): LayerSpecification[] {
  const font = [C.font];
  const written = { 'symbol-placement': 'line' as const, 'text-field': nameIn(lang), 'text-font': font, 'text-max-angle': 35 };
  const paint = { 'text-color': C.roadName, 'text-halo-color': C.county, 'text-halo-width': 1.6 * scale };
  return [
    {
      id: 'street-name',
      type: 'symbol',
      source: 'roads',
      filter: street,
      minzoom: ROAD_NAMES_FROM.street,
      layout: { ...written, 'symbol-spacing': 320 * scale, 'text-size': width(14, 12, 17, 15) },
      paint,
    },
    {
      id: 'trunk-name',
      type: 'symbol',
      source: 'roads',
      filter: trunk,
      minzoom: ROAD_NAMES_FROM.trunk,
      layout: { ...written, 'symbol-spacing': 420 * scale, 'text-size': width(10, 12, 14, 13, 17, 16), 'text-letter-spacing': 0.08 },
      paint,
    },
  ];
}

/** The whole style; `scale` is how much larger than usual the page's text is. No glyph address: letters come from the page's font. */
export function groundStyle(ground: Ground, scale: number, lang: Lang): StyleSpecification {
  const width = growing(scale);
  const source = (collection: FeatureCollection) => ({ type: 'geojson', data: collection }) as const;
  return {
    version: 8,
    sources: { counties: source(ground.boundaries), roads: source(singleLines(ground.roads)) },
    layers: [...areas(width), ...roads(width), ...names(width, scale, lang)],
  };
}
