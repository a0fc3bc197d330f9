/** The server counts rows under way as lost until they are stored; only what stays missing is lost. */
import type { LedgerRow } from '../live/api';

/** Missing rows by ledger line, as seen at which moment. */
export type Seen = Map<string, { at: number; lost: number }[]>;

/** Give the line with `lost` as the least that was missing throughout the window; the rest is in flight. */
export function settled<T extends LedgerRow>(row: T, key: string, seen: Seen, nowMs: number, windowMs: number): T {
  const kept = (seen.get(key) ?? []).filter((s) => s.at > nowMs - windowMs);
  kept.push({ at: nowMs, lost: row.lost });
  seen.set(key, kept);
  const lost = Math.min(...kept.map((s) => s.lost));
  return { ...row, lost, in_flight: row.in_flight + row.lost - lost };
}
