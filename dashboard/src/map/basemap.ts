/** The MapLibre stage: counties and roads below, our overlay above. */
import { Map as MapLibre, setWorkerUrl, type CustomLayerInterface, type StyleSpecification } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url';
import 'maplibre-gl/dist/maplibre-gl.css';

import { MAP_COLOURS as C, pageScale, pixelRatio, type Ground, type Stage, type StageSetup } from './stage';

setWorkerUrl(new URL(workerUrl, location.href).href);

function style(ground: Ground, scale: number): StyleSpecification {
  const width = (stops: number[]): unknown => [
    'interpolate',
    ['linear'],
    ['zoom'],
    ...stops.map((v, i) => (i % 2 ? v * scale : v)),
  ];
  const main = ['in', ['get', 'class'], ['literal', ['motorway', 'trunk', 'primary', 'highway']]];
  return {
    version: 8,
    sources: {
      counties: { type: 'geojson', data: ground.boundaries },
      roads: { type: 'geojson', data: ground.roads },
    },
    layers: [
      { id: 'ground', type: 'background', paint: { 'background-color': C.ground } },
      { id: 'county', type: 'fill', source: 'counties', paint: { 'fill-color': C.county } },
      {
        id: 'road',
        type: 'line',
        source: 'roads',
        layout: { 'line-cap': 'round', 'line-join': 'round' },
        paint: { 'line-color': ['case', main, C.main, C.road], 'line-width': width([8, 0.6, 11, 1.2, 14, 4, 17, 12]) },
      },
      {
        id: 'border',
        type: 'line',
        source: 'counties',
        layout: { 'line-join': 'round' },
        paint: { 'line-color': C.border, 'line-width': width([8, 1.2, 12, 2]) },
      },
    ],
  } as StyleSpecification;
}

/** Build the map; throws where WebGL2 is missing. */
export function mapLibreStage(setup: StageSetup): Stage {
  const { container, ground, camera, still } = setup;
  const map = new MapLibre({
    container,
    style: style(ground, pageScale()),
    attributionControl: false,
    dragRotate: true,
    fadeDuration: 0,
    maxZoom: 18,
    minZoom: 6,
    pixelRatio: pixelRatio(),
    ...(camera
      ? { center: [camera.lon, camera.lat], zoom: camera.zoom }
      : { bounds: ground.bounds, fitBoundsOptions: { padding: 24 } }),
  });
  map.getCanvas().setAttribute('tabindex', '-1');
  map.getCanvas().setAttribute('aria-hidden', 'true');
  map.keyboard.disable();
  const overlay = setup.overlay(map.getCanvasContainer(), false);
  const size = (): [number, number] => [container.clientWidth, container.clientHeight];
  const eye: CustomLayerInterface = {
    id: 'eye',
    type: 'custom',
    renderingMode: '2d',
    render(_gl, input) {
      const [width, height] = size();
      overlay.see({
        matrix: Array.from(input.defaultProjectionData.mainMatrix),
        width,
        height,
        dpr: pixelRatio(),
        bearing: (map.getBearing() * Math.PI) / 180,
        zoom: map.getZoom(),
        nowMs: 0,
        scale: pageScale(),
      });
    },
  };
  const watch = (): void => {
    if (!map.getLayer('eye')) map.addLayer(eye);
  };
  map.on('load', watch);
  map.on('webglcontextrestored', () => void map.once('idle', watch)); // MapLibre drops custom layers with the context
  map.on('click', (event) => {
    const view = overlay.current();
    if (view) setup.click(event.point.x, event.point.y, view);
  });
  map.on('moveend', () => {
    const { lng, lat } = map.getCenter();
    setup.moved({ lon: lng, lat, zoom: map.getZoom() });
  });
  const motion = still ? { animate: false } : {};
  return {
    overlay,
    flyTo: (lon, lat) => void map.easeTo({ center: [lon, lat], zoom: Math.max(map.getZoom(), 12.5), duration: 700, ...motion }),
    fit: () => void map.fitBounds(ground.bounds, { padding: 24, bearing: 0, pitch: 0, duration: 500, ...motion }),
    zoomBy: (steps) => void map.zoomTo(map.getZoom() + steps, { duration: 250, ...motion }),
    destroy() {
      overlay.destroy();
      map.remove();
    },
  };
}
