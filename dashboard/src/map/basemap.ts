/** The MapLibre stage: counties and roads below, our overlay above. */
import { effect } from '@preact/signals';
import { Map as MapLibre, setWorkerUrl, type CustomLayerInterface } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url';
import 'maplibre-gl/dist/maplibre-gl.css';

import { lang } from '../i18n';
import { NAME_LAYERS, groundStyle, nameIn } from './groundstyle';
import type { Overlay } from './overlay';
import { pageScale, pixelRatio, type Stage, type StageSetup } from './stage';

setWorkerUrl(new URL(workerUrl, location.href).href);

function create({ container, ground, camera }: StageSetup): MapLibre {
  const map = new MapLibre({
    container,
    style: groundStyle(ground, pageScale(), lang.value),
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
  return map;
}

/** A layer that paints nothing and tells the overlay from where the map is seen. */
function eyeOf(map: MapLibre, container: HTMLElement, overlay: Overlay): CustomLayerInterface {
  return {
    id: 'eye',
    type: 'custom',
    renderingMode: '2d',
    render(_gl, input) {
      overlay.see({
        matrix: Array.from(input.defaultProjectionData.mainMatrix),
        width: container.clientWidth,
        height: container.clientHeight,
        dpr: pixelRatio(),
        bearing: (map.getBearing() * Math.PI) / 180,
        zoom: map.getZoom(),
        nowMs: 0,
        scale: pageScale(),
      });
    },
  };
}

/** Keep the roads' names in the page's language; gives the function that stops it. */
function followLanguage(map: MapLibre): () => void {
  return effect(() => {
    const name = nameIn(lang.value);
    for (const layer of NAME_LAYERS) map.setLayoutProperty(layer, 'text-field', name);
  });
}

/** Build the map; throws where WebGL2 is missing. */
export function mapLibreStage(setup: StageSetup): Stage {
  const { container, ground, still } = setup;
  const map = create(setup);
  const overlay = setup.overlay(map.getCanvasContainer(), false);
  const eye = eyeOf(map, container, overlay);
  let unfollow = (): void => undefined;
  const watch = (): void => {
    if (!map.getLayer('eye')) map.addLayer(eye);
  };
  map.on('load', () => {
    watch();
    unfollow = followLanguage(map);
  });
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
      unfollow();
      overlay.destroy();
      map.remove();
    },
  };
}
