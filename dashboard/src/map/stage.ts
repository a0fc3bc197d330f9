/** A map that can be moved; two of them: MapLibre, and a flat one where WebGL is missing. */
import type { FeatureCollection } from 'geojson';

import type { Bounds } from './geometry';
import type { Overlay } from './overlay';
import type { View } from './scene';

export interface Camera {
  lon: number;
  lat: number;
  zoom: number;
}

export interface Ground {
  boundaries: FeatureCollection;
  roads: FeatureCollection;
  bounds: Bounds;
}

export interface StageSetup {
  container: HTMLElement;
  ground: Ground;
  /** Where to begin; absent shows the whole city. */
  camera: Camera | null;
  /** No gliding of the camera. */
  still: boolean;
  overlay(parent: HTMLElement, flat: boolean): Overlay;
  click(x: number, y: number, view: View): void;
  moved(camera: Camera): void;
}

export interface Stage {
  readonly overlay: Overlay;
  flyTo(lon: number, lat: number): void;
  fit(): void;
  zoomBy(steps: number): void;
  destroy(): void;
}

/** How much larger than at 16 px per rem everything is. */
export function pageScale(): number {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16 || 1;
}

export const pixelRatio = (): number => Math.min(2, window.devicePixelRatio || 1);
export const MAP_COLOURS = {
  ground: '#0a111d',
  county: '#101d33',
  border: '#3464a4',
  road: '#27405f',
  main: '#56759b',
  roadName: '#a9bfdf',
  font: 'Noto Sans SC Variable',
};

/** Values of a road's `class` that make it a trunk road; every other road is a street. */
export const TRUNKS = ['motorway', 'trunk', 'primary', 'highway'];
/** Zoom from which names of roads are written. */
export const ROAD_NAMES_FROM = { trunk: 10.2, street: 14 };
