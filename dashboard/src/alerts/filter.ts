/** Presets of the alert list; the chosen one is in the address. */
import type { Key } from '../i18n';
import { byUrgency } from '../live/board';
import type { Alert } from '../live/protocol';

export const FILTERS = ['all', 'open', 'mine', 'data', 'resolved'] as const;
export type Filter = (typeof FILTERS)[number];
export const FILTER_LABEL: Record<Filter, Key> = {
  all: 'filterAll',
  open: 'filterOpen',
  mine: 'filterMine',
  data: 'filterData',
  resolved: 'filterResolved',
};

const isData = (alert: Alert): boolean => alert.category === 'data';

export function passes(alert: Alert, filter: Filter, user: string): boolean {
  switch (filter) {
    case 'all':
      return alert.status !== 'resolved';
    case 'open':
      return alert.status === 'open';
    case 'mine':
      return alert.status === 'acknowledged' && alert.acked_by === user;
    case 'data':
      return alert.status !== 'resolved' && isData(alert);
    case 'resolved':
      return alert.status === 'resolved';
  }
}

/** The alerts of a preset, city before data quality, most urgent first. */
export function chosen(alerts: Alert[], filter: Filter, user: string): Alert[] {
  return alerts
    .filter((a) => passes(a, filter, user))
    .sort((a, b) => Number(isData(a)) - Number(isData(b)) || byUrgency(a, b));
}

export function asFilter(text: string | null): Filter {
  return FILTERS.find((f) => f === text) ?? 'all';
}
