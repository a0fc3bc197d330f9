import type { Action, Alert } from '../live/protocol';

/** Actions that make sense now, the likeliest first. */
export function possible(alert: Alert): Action[] {
  if (alert.status === 'open') return ['acknowledge', 'resolve', 'note'];
  if (alert.status === 'acknowledged') return ['resolve', 'note'];
  return ['reopen', 'note'];
}
