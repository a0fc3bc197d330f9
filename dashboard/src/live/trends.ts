/** Key figures of the last minutes, kept by the page itself for its small curves; a missing value stays a gap. */
import type { Kpi } from './protocol';

export interface Trend {
  at: number[];
  value: (number | null)[];
}

export const TREND_EVERY_MS = 5_000;
const KEEP = 180;

export class Trends {
  private readonly byId = new Map<string, Trend>();
  private nextAt = 0;

  add(nowMs: number, kpis: Kpi[]): void {
    if (nowMs < this.nextAt) return;
    this.nextAt = nowMs + TREND_EVERY_MS - 500;
    for (const kpi of kpis) {
      let trend = this.byId.get(kpi.id);
      if (!trend) this.byId.set(kpi.id, (trend = { at: [], value: [] }));
      trend.at.push(nowMs);
      trend.value.push(kpi.value);
      if (trend.at.length > KEEP) {
        trend.at.shift();
        trend.value.shift();
      }
    }
  }

  get(id: string): Trend | undefined {
    return this.byId.get(id);
  }
}
