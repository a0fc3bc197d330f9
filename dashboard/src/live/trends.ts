/** Key figures of the last minutes, kept by the page itself for its small curves; a missing value stays a gap. */
import type { Kpi } from './protocol';

export interface Trend {
  at: number[];
  value: (number | null)[];
}

export const TREND_EVERY_MS = 5_000;
const KEEP = 180;
const KEEP_MS = KEEP * TREND_EVERY_MS;
/** After a silence as long as this the curve is broken. */
const BREAK_MS = 4 * TREND_EVERY_MS;

export class Trends {
  private byId = new Map<string, Trend>();
  private nextAt = 0;

  add(nowMs: number, kpis: Kpi[]): void {
    if (nowMs < this.nextAt) return;
    this.nextAt = nowMs + TREND_EVERY_MS - 500;
    for (const kpi of kpis) {
      let trend = this.byId.get(kpi.id);
      const last = trend?.at.at(-1) ?? nowMs;
      if (!trend || last > nowMs) this.byId.set(kpi.id, (trend = { at: [], value: [] })); // the clock was put back
      if (nowMs - last > BREAK_MS) push(trend, last + 1, null);
      push(trend, nowMs, kpi.value);
      while (trend.at.length > KEEP || trend.at[0] < nowMs - KEEP_MS) {
        trend.at.shift();
        trend.value.shift();
      }
    }
  }

  get(id: string): Trend | undefined {
    return this.byId.get(id);
  }

  /** All curves as text, for the same page after it was loaded again. */
  kept(): string {
    return JSON.stringify([...this.byId]);
  }

  /** Take up what `kept` gave; text that is none of it is left. */
  takeUp(text: string): void {
    let found: unknown;
    try {
      found = JSON.parse(text);
    } catch {
      return;
    }
    if (!Array.isArray(found) || !found.every(isNamedTrend)) return;
    this.byId = new Map([...found, ...this.byId]);
  }
}

function push(trend: Trend, at: number, value: number | null): void {
  trend.at.push(at);
  trend.value.push(value);
}

const isFigure = (value: unknown): boolean => value === null || typeof value === 'number';

function isNamedTrend(entry: unknown): entry is [id: string, trend: Trend] {
  if (!Array.isArray(entry) || typeof entry[0] !== 'string') return false;
  const { at, value } = (entry[1] ?? {}) as Partial<Trend>;
  if (!Array.isArray(at) || !Array.isArray(value) || at.length !== value.length) return false;
  return at.every((x) => typeof x === 'number') && value.every(isFigure);
}
