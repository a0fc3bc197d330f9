/** The page's live state as signals, fed by the socket; panels read from here only. */
import { computed, signal } from '@preact/signals';

import { lang } from '../i18n';
import { Backoff } from './backoff';
import { api, onUnauthorised, type Catalog, type Me } from './api';
import { AlertBoard } from './board';
import { Commands } from './commands';
import { Entities, type LayerSummary } from './entities';
import { Trends } from './trends';
import { LAYERS, type Alert, type ConnectorState, type Kpi, type LiveEvent } from './protocol';
import { LiveSocket, type Listener, type Wire } from './socket';

export type Link = 'live' | 'stale' | 'down';

const STALE_AFTER_S = 3;
const DOWN_AFTER_S = 10;

/** Who is logged in; undefined until known, null if nobody. */
export const me = signal<Me | null | undefined>(undefined);
/** Viewers look, all others act. */
export const mayAct = computed(() => me.value != null && me.value.role !== 'viewer');
export const catalog = signal<Catalog | null>(null);
export const board = new AlertBoard();
/** Grows with every change of the board. */
export const boardVersion = signal(0);
export const alertsLoaded = signal(false);
export const entities = new Entities(Date.now());
export const summaries = signal<LayerSummary[]>(entities.layers.map((l) => l.summary(0)));
export const connectors = signal<ReadonlyMap<string, ConnectorState>>(new Map());
export const kpis = signal<Kpi[]>([]);
export const trends = new Trends();
/** Server time in milliseconds, moved on every second. */
export const now = signal(Date.now());
/** Seconds since the server last spoke; null before it first did. */
export const silence = signal<number | null>(null);
const newest = signal<{ ageS: number | null; at: number }>({ ageS: null, at: 0 });
/** Seconds since the newest reading of all, growing by itself while nothing comes. */
export const dataAge = computed(() =>
  newest.value.ageS === null ? null : newest.value.ageS + Math.max(0, (now.value - newest.value.at) / 1000),
);
export const link = computed<Link>(() => {
  const s = silence.value;
  if (s === null) return 'stale';
  return s > DOWN_AFTER_S ? 'down' : s > STALE_AFTER_S ? 'stale' : 'live';
});
export const outdated = signal(false);
export const problems = signal<{ at: number; code: string; detail: string }[]>([]);
export const build = signal('');
/** Alerts opened since they were last announced. */
export const unannounced = signal<Alert[]>([]);

/** Put the alerts resolved lately on the board. */
export async function readResolved(): Promise<void> {
  for (const alert of await api.resolved()) board.put(alert);
  changed();
}

let heardAt: number | null = null;
let offset = Date.now() - performance.now();
const onFrame = new Set<() => void>();

export function serverNow(): number {
  return performance.now() + offset;
}

/** Be called after every frame applied, at most once per animation frame's worth of work. */
export function whenFrame(run: () => void): () => void {
  onFrame.add(run);
  return () => onFrame.delete(run);
}

function heard(serverMs: number): void {
  heardAt = performance.now();
  offset = serverMs - heardAt;
  pulse();
}

function pulse(): void {
  now.value = serverNow();
  silence.value = heardAt === null ? null : (performance.now() - heardAt) / 1000;
}

function changed(): void {
  boardVersion.value += 1;
}

function takeEvent(message: LiveEvent): void {
  const opened = board.event(message.alert, message.change);
  if (opened) unannounced.value = [...unannounced.value, opened];
  if (message.alert || message.change?.alert) changed();
  const state = message.connector;
  if (state) connectors.value = new Map(connectors.value).set(state.connector, state);
}

async function readConnectors(): Promise<void> {
  try {
    const list = await api.connectors();
    connectors.value = new Map(list.map((c) => [c.connector, c]));
  } catch {
    // the strip keeps what it has; the engineer view shows the failure when opened
  }
}

const listener: Listener = {
  welcome(message, newEpoch) {
    if (newEpoch) entities.renew();
    if (build.value && build.value !== message.build) outdated.value = true;
    build.value ||= message.build;
    if (me.value && me.value.role !== message.role) me.value = { ...me.value, role: message.role };
    heard(message.nowMs);
    void readConnectors();
  },
  frame(bytes) {
    entities.apply(bytes);
    for (const run of onFrame) run();
  },
  names: (message) => entities.name(message),
  tick(message) {
    heard(message.nowMs);
    newest.value = { ageS: message.dataAgeS, at: message.nowMs };
    kpis.value = message.kpis;
    trends.add(message.nowMs, message.kpis);
    summaries.value = entities.layers.map((layer) => layer.summary(message.nowMs));
  },
  alerts(message) {
    board.replace(message.alerts);
    alertsLoaded.value = true;
    changed();
  },
  event: takeEvent,
  result(message) {
    if (message.alert && board.put(message.alert)) changed();
    commands.result(message);
  },
  problem(message) {
    problems.value = [...problems.value.slice(-49), { at: serverNow(), code: message.code, detail: message.detail }];
  },
  outdated: () => (outdated.value = true),
  unauthorised: () => leave(),
  connected(open) {
    if (!open) commands.lost();
  },
};

const later = (ms: number, run: () => void): (() => void) => {
  const id = setTimeout(run, ms);
  return () => clearTimeout(id);
};

function openWire(): Wire {
  const url = new URL('ws', document.baseURI);
  url.protocol = url.protocol.replace('http', 'ws');
  return new WebSocket(url);
}

const socket = new LiveSocket({ open: openWire, later, backoff: new Backoff(), lang: () => lang.value }, listener);
export const commands = new Commands(socket, later);

let paceMs = 1000;

/** How often the page wants positions; 0 pauses them. A hidden page gets none. */
export function setPace(ms: number): void {
  paceMs = ms;
  subscribe();
}

function subscribe(): void {
  socket.subscribe({ op: 'subscribe', layers: LAYERS.map((_, i) => i), intervalMs: document.hidden ? 0 : paceMs });
}

const CURVES_KEPT_AS = 'cityops.curves';

/** Loading the page again, as wall screens do for a new version, shall not empty the small curves. */
function keepCurves(): void {
  try {
    const kept = sessionStorage.getItem(CURVES_KEPT_AS);
    if (kept) trends.takeUp(kept);
    addEventListener('pagehide', () => {
      if (me.value) sessionStorage.setItem(CURVES_KEPT_AS, trends.kept());
      else sessionStorage.removeItem(CURVES_KEPT_AS);
    });
  } catch {
    // without storage the curves begin anew
  }
}

let ticking = false;

function keepTime(): void {
  if (ticking) return;
  ticking = true;
  keepCurves();
  setInterval(pulse, 1000);
  document.addEventListener('visibilitychange', () => {
    subscribe();
    if (!document.hidden) {
      pulse();
      socket.hurry();
    }
  });
  addEventListener('online', () => socket.hurry());
}

/** Somebody is logged in: read the catalogue and go live. */
export function enter(who: Me): void {
  me.value = who;
  keepTime();
  subscribe();
  socket.start();
  void readCatalog(new Backoff());
}

/** The catalogue names everything: try until it is there. */
async function readCatalog(backoff: Backoff): Promise<void> {
  try {
    catalog.value ??= await api.catalog();
  } catch {
    if (me.value) later(backoff.next(), () => void readCatalog(backoff));
  }
}

/** Nobody is logged in any more. */
export function leave(): void {
  socket.stop();
  me.value = null;
}

onUnauthorised.tell = leave;
