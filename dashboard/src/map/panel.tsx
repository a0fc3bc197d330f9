/** The map panel: ground, entities, county names, alert marks; its code is loaded only when a map is shown. */
import { effect, useComputed } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';

import { label, number, t } from '../i18n';
import { api } from '../live/api';
import { board, boardVersion, entities, me, now, serverNow, summaries, whenFrame } from '../live/session';
import { go, layersOff, param, route, setParam } from '../shell/route';
import { mapLibreStage } from './basemap';
import { EntityCard } from './card';
import { flatStage } from './flatstage';
import { boundsOf, lines, places, type Place } from './geometry';
import { Legend } from './legend';
import { Overlay } from './overlay';
import { localMatrix, markOf, pick, project, type Mark, type Scene, type View } from './scene';
import { mercator, ORIGIN } from '../live/entities';
import type { Camera, Ground, Stage, StageSetup } from './stage';

const still = (): boolean => matchMedia('(prefers-reduced-motion: reduce)').matches;

function hasWebGl(): boolean {
  if (param('flat') === '1') return false;
  const gl = document.createElement('canvas').getContext('webgl2');
  gl?.getExtension('WEBGL_lose_context')?.loseContext();
  return gl !== null;
}

function marksNow(): Mark[] {
  const selected = route.value.alert;
  return board
    .all()
    .filter((a) => a.id === selected || (a.status !== 'resolved' && (a.category ?? 'city') === 'city'))
    .flatMap((a) => markOf(a, a.id === selected) ?? []);
}

function savedCamera(): Camera | null {
  const [lon, lat, zoom] = (param('at') ?? '').split(',').map(Number);
  return [lon, lat, zoom].every(Number.isFinite) ? { lon, lat, zoom } : null;
}

function click(x: number, y: number, view: View, scene: Scene): void {
  const found = pick(view, scene, x, y);
  if (!found) return setParam('src', null);
  if ('alert' in found) return go('alerts', found.alert.id);
  return setParam('src', `${found.layer.kind}:${found.layer.sources[found.slot]}`);
}

/** Follow store, board and address with the stage; gives the function that stops it. */
function follow(stage: Stage, scene: Scene): () => void {
  const stops = [
    whenFrame(() => stage.overlay.request()),
    effect(() => {
      scene.marks = (boardVersion.value, marksNow());
      scene.off = layersOff.value;
      scene.shown = summaries.value.reduce((n, s) => n + s.shown, 0);
      void now.value; // ages change the picture even when nothing arrives
      stage.overlay.request();
    }),
  ];
  let last: string | null = null;
  stops.push(
    effect(() => {
      const id = route.value.alert;
      if (id === last) return;
      const alert = id === null ? undefined : (boardVersion.value, board.get(id));
      if (id !== null && !alert) return;
      last = id;
      if (alert?.lon != null && alert.lat != null) stage.flyTo(alert.lon, alert.lat);
    }),
  );
  return () => stops.forEach((stop) => stop());
}

function putNames(host: HTMLElement, named: Place[]): (view: View) => void {
  const spots = named.map((place) => {
    const element = document.createElement('span');
    element.className = 'map-name';
    element.dataset.zh = place.zh;
    element.dataset.en = place.en;
    host.appendChild(element);
    const [x, y] = mercator(place.lon, place.lat);
    return { element, place, x: x - ORIGIN[0], y: y - ORIGIN[1] };
  });
  return (view) => {
    const local = localMatrix(view.matrix);
    for (const spot of spots) {
      const at = project(local, view, spot.x, spot.y);
      spot.element.hidden = at === null;
      if (at) spot.element.style.translate = `${at[0].toFixed(1)}px ${at[1].toFixed(1)}px`;
      const text = label(spot.place);
      if (spot.element.textContent !== text) spot.element.textContent = text;
    }
  };
}

async function build(host: HTMLElement, names: HTMLElement): Promise<{ stage: Stage; flat: boolean; stop: () => void }> {
  const [boundaries, roads] = await Promise.all([api.boundaries(), api.roads()]);
  const ground: Ground = { boundaries, roads, bounds: boundsOf(boundaries) };
  const scene: Scene = { layers: entities.layers, off: layersOff.value, marks: [], shown: 0 };
  const name = putNames(names, places(boundaries, lines(roads).flat()));
  const setup: StageSetup = {
    container: host,
    ground,
    camera: savedCamera(),
    still: still(),
    overlay: (parent, flat) => new Overlay(parent, () => scene, serverNow, { still: still(), flat }, name),
    click: (x, y, view) => click(x, y, view, scene),
    moved: ({ lon, lat, zoom }) => setParam('at', `${lon.toFixed(4)},${lat.toFixed(4)},${zoom.toFixed(2)}`),
  };
  const flat = !hasWebGl();
  const stage = flat ? flatStage(setup) : mapLibreStage(setup);
  const unfollow = follow(stage, scene);
  return {
    stage,
    flat,
    stop() {
      unfollow();
      stage.destroy();
      names.replaceChildren();
    },
  };
}

function Summary(): preact.JSX.Element {
  const total = useComputed(() => {
    const on = summaries.value.filter((_, i) => !layersOff.value.has(i));
    const sum = (of: (s: (typeof on)[number]) => number): number => on.reduce((n, s) => n + of(s), 0);
    return {
      n: sum((s) => s.shown),
      stale: sum((s) => s.stale),
      warning: sum((s) => s.states[2]),
      alarm: sum((s) => s.states[3]),
    };
  });
  return (
    <div class="map-count" data-testid="entity-count" data-count={total.value.n}>
      {t('layersShown', { n: number(total.value.n, 0) })}
      <span class="visually-hidden" role="img" aria-label={t('mapSummary', total.value)} />
    </div>
  );
}

type Note = 'mapLoading' | 'mapFailed' | 'mapFlat';
type Host = { current: HTMLDivElement | null };

/** The stage built into two elements for as long as they are on the page, and what to say about it. */
function useStage(host: Host, names: Host): { stage: Stage | null; note: Note | null } {
  const [stage, setStage] = useState<Stage | null>(null);
  const [note, setNote] = useState<Note | null>('mapLoading');
  useEffect(() => {
    let stop: (() => void) | null = null;
    let gone = false;
    build(host.current as HTMLElement, names.current as HTMLElement)
      .then((built) => {
        if (gone) return built.stop();
        stop = built.stop;
        setStage(built.stage);
        setNote(built.flat ? 'mapFlat' : null);
      })
      .catch((error: unknown) => {
        console.error(error);
        setNote('mapFailed');
      });
    return () => {
      gone = true;
      stop?.();
    };
  }, [me.value?.user]);
  return { stage, note };
}

function Tools({ stage }: { stage: Stage | null }): preact.JSX.Element {
  return (
    <div class="map-tools">
      <button type="button" aria-label={t('zoomIn')} title={t('zoomIn')} onClick={() => stage?.zoomBy(1)}>＋</button>
      <button type="button" aria-label={t('zoomOut')} title={t('zoomOut')} onClick={() => stage?.zoomBy(-1)}>－</button>
      <button type="button" aria-label={t('zoomFit')} title={t('zoomFit')} onClick={() => stage?.fit()}>⌂</button>
    </div>
  );
}

export default function MapPanel(): preact.JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const names = useRef<HTMLDivElement>(null);
  const { stage, note } = useStage(host, names);
  return (
    <section class="map" aria-label={t('map')} data-testid="map">
      <div class="map-host" ref={host} />
      <div class="map-names" ref={names} aria-hidden="true" />
      {note && <p class="map-note">{t(note)}</p>}
      <Tools stage={stage} />
      <Summary />
      <EntityCard />
      <Legend />
      <p class="map-credit">{t('mapSchematic')} · {t('mapSource')}</p>
    </section>
  );
}
