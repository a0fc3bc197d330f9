/** The gateway's HTTP doors, one function each; answers are typed, failures are an ApiError with the status. */
import type { FeatureCollection } from 'geojson';

import type { Alert, AlertEvent, ConnectorState, Severity } from './protocol';

export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 if the server could not be reached. */
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Told when any answer says that nobody is logged in. */
export const onUnauthorised: { tell: () => void } = { tell: () => undefined };

async function call<T>(path: string, body?: unknown, quiet = false): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(new URL(`api/${path}`, document.baseURI), {
      method: body === undefined ? 'GET' : 'POST',
      credentials: 'same-origin',
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw new ApiError(0, String(error));
  }
  if (answer.status === 401 && !quiet) onUnauthorised.tell();
  if (!answer.ok) throw new ApiError(answer.status, (await answer.text()).slice(0, 300));
  return (answer.status === 204 ? null : await answer.json()) as T;
}

export interface Me {
  user: string;
  role: string;
}
export interface FieldLabel {
  name: string;
  zh: string;
  en: string;
  unit: string;
  grade: string;
}
export interface KindLabel {
  /** Seconds between two reports of a source. */
  interval_s?: number;
  zh: string;
  en: string;
  fields: FieldLabel[];
}
export interface RuleLabel {
  id: string;
  version: number;
  severity: Severity;
  category: 'city' | 'data';
  zh: string;
  en: string;
  reason_zh: string;
  reason_en: string;
  clause: string;
  limit?: number | null;
  unit?: string | null;
  kinds?: string[];
  /** The rule as its pack declares it. */
  pack?: { when?: { type?: string; field?: string } } | null;
}
export interface Catalog {
  kinds: Record<string, KindLabel>;
  rules: RuleLabel[];
  zones: { code: number; zh: string; en: string }[];
  reasons: Record<string, { zh: string; en: string }>;
}
export interface History {
  /** Moment in milliseconds, mean, and more that this page does not draw. */
  points: [tsMs: number, mean: number | null, ...rest: unknown[]][];
  unit: string;
}
export type LatestReading = Record<string, unknown>;
export interface LedgerRow {
  connector?: string;
  kind?: string;
  partition?: number;
  received: number;
  stored: number;
  duplicates: number;
  rejected: number;
  in_flight: number;
  lost: number;
}
export interface Ledger extends LedgerRow {
  by: LedgerRow[];
}
export interface RejectEntry {
  ts: number;
  seen_at?: number | null;
  source?: string | null;
  connector: string;
  stage?: string;
  reason: string;
  detail?: string | null;
  refused_kind?: string | null;
}

const enc = encodeURIComponent;

export const api = {
  login: (user: string, password: string) => call<Me>('login', { user, password }, true),
  logout: () => call<unknown>('logout', {}, true),
  me: () => call<Me>('me', undefined, true),
  catalog: () => call<Catalog>('catalog'),
  boundaries: () => call<FeatureCollection>('boundaries.geojson'),
  roads: () => call<FeatureCollection>('roads.geojson'),
  /** Alerts resolved lately, newest first. */
  resolved: async () => (await call<{ alerts: Alert[] }>('alerts?status=resolved&limit=200')).alerts,
  alert: (id: string) => call<{ alert: Alert; events: AlertEvent[] }>(`alerts/${enc(id)}`),
  history: (kind: string, source: string, field: string, since: number, until: number, step: number) =>
    call<History>(`history/${enc(kind)}/${enc(source)}?field=${enc(field)}&since=${Math.round(since)}&until=${Math.round(until)}&step=${step}`),
  source: (kind: string, source: string) => call<LatestReading>(`sources/${enc(kind)}/${enc(source)}`),
  connectors: async () => (await call<{ connectors: ConnectorState[] }>('connectors')).connectors,
  ledger: () => call<Ledger>('ledger'),
  rejects: async () => (await call<{ rejects: RejectEntry[] }>('rejects?limit=50')).rejects,
};
