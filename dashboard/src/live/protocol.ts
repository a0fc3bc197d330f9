/** The websocket's language as the page sees it; its definition is schemas/messages.py and schemas/events.py. */

export const PROTO = 1;

/** Kind shown by each layer; the layer's number is its index. */
export const LAYERS = [
  'bus_position',
  'taxi_position',
  'coach_position',
  'hazmat_position',
  'bike_station',
  'dust_station',
  'traffic_detector',
  'bike_vehicle',
] as const;
export type LayerKind = (typeof LAYERS)[number];

/** What column `value` holds: field, factor it was multiplied by, unit of the field. */
export const VALUE: Record<LayerKind, readonly [field: string, factor: number, unit: string]> = {
  bus_position: ['speed', 10, 'm/s'],
  taxi_position: ['speed', 10, 'm/s'],
  coach_position: ['speed', 10, 'm/s'],
  hazmat_position: ['speed', 10, 'm/s'],
  bike_station: ['bikes', 1, ''],
  dust_station: ['pm10', 10, 'µg/m³'],
  traffic_detector: ['speed', 10, 'm/s'],
  bike_vehicle: ['range', 0.1, 'm'],
};

export const State = { NORMAL: 0, BUSY: 1, WARNING: 2, ALARM: 3, UNKNOWN: 4 } as const;
/** Stands for an absent heading or value, and for an age of 65535 s or more. */
export const NO_U16 = 65535;
export const FrameKind = { SNAPSHOT: 0, DELTA: 1, REMOVE: 2 } as const;

export type Severity = 'critical' | 'major' | 'minor';
export type Status = 'open' | 'acknowledged' | 'resolved';
export type Action = 'acknowledge' | 'resolve' | 'note' | 'reopen';
export type Health = 'starting' | 'live' | 'degraded' | 'down' | 'refused' | 'idle';

/** The life of a finding; times are microseconds since 1970 UTC; defaults may be left out on the wire. */
export interface Alert {
  id: string;
  version: number;
  status: Status;
  rule: string;
  rule_version: number;
  category?: 'city' | 'data';
  severity: Severity;
  kind: string;
  source: string;
  zone?: number | null;
  lon?: number | null;
  lat?: number | null;
  started: number;
  last: number;
  opened_at: number;
  cleared?: number | null;
  resolved_at?: number | null;
  count?: number;
  reopened?: number;
  value?: number | null;
  limit?: number | null;
  unit?: string;
  detected_late?: boolean;
  evidence?: Record<string, unknown>;
  acked_by?: string | null;
  acked_at?: number | null;
  resolved_by?: string | null;
  cause?: string | null;
  note?: string | null;
}

export type Change =
  | 'opened'
  | 'merged'
  | 'acknowledged'
  | 'resolved'
  | 'cleared'
  | 'noted'
  | 'reopened'
  | 'conflict'
  | 'refused';

export interface AlertEvent {
  id: string;
  alert_id: string;
  version: number;
  change: Change;
  at: number;
  actor?: string;
  note?: string | null;
  cause?: string | null;
  cmd_id?: string | null;
  device?: string | null;
  alert?: Alert | null;
}

export interface ConnectorState {
  connector: string;
  type: string;
  run: string;
  health: Health;
  at: number;
  since: number;
  kinds?: string[];
  detail?: string;
  packets?: number;
  readings?: number;
  rejects?: number;
  rate?: number;
  connections?: number;
  last_reading?: number | null;
}

export interface Kpi {
  id: string;
  value: number | null;
  unit: string;
  ageS: number | null;
  total?: number | null;
  state?: number;
}

export type Lang = 'zh-CN' | 'en';

export interface Hello {
  op: 'hello';
  proto: number;
  lang: Lang;
  resume?: { epoch: string; events: number };
}
export interface Subscribe {
  op: 'subscribe';
  layers: number[];
  bbox?: [number, number, number, number];
  zoom?: number;
  intervalMs: number;
}
export interface Command {
  op: 'command';
  cmdId: string;
  alertId: string;
  action: Action;
  expectedVersion: number;
  note?: string;
  cause?: string;
}
export type FromClient = Hello | Subscribe | { op: 'ack'; frames: number } | { op: 'snapshot' } | Command;

export interface Welcome {
  op: 'welcome';
  proto: number;
  epoch: string;
  build: string;
  nowMs: number;
  intervalMs: number;
  seq: number;
  user: string;
  role: string;
  resumed: boolean;
}
export interface Names {
  op: 'names';
  layer: number;
  slots: number[];
  sources: string[];
  labels: string[];
}
export interface Tick {
  op: 'tick';
  nowMs: number;
  dataAgeS: number | null;
  kpis: Kpi[];
}
export interface Alerts {
  op: 'alerts';
  seq: number;
  alerts: Alert[];
}
export interface LiveEvent {
  op: 'event';
  seq: number;
  alert?: Alert | null;
  change?: AlertEvent | null;
  connector?: ConnectorState | null;
}
export interface Result {
  op: 'result';
  cmdId: string;
  outcome: 'ok' | 'conflict' | 'refused' | 'timeout';
  alert?: Alert | null;
  detail?: string;
}
export interface Resync {
  op: 'resync';
  reason: string;
}
export interface Problem {
  op: 'problem';
  code: string;
  detail: string;
}
export type FromServer = Welcome | Names | Tick | Alerts | LiveEvent | Result | Resync | Problem;
