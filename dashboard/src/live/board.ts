/** Alerts as the page knows them: newest version wins, whatever the order of arrival. */
import type { Alert, AlertEvent, Severity } from './protocol';

export const RANK: Record<Severity, number> = { critical: 0, major: 1, minor: 2 };

export class AlertBoard {
  private readonly alerts = new Map<string, Alert>();

  get(id: string): Alert | undefined {
    return this.alerts.get(id);
  }

  /** Alerts not resolved, then those resolved while the page was open. */
  all(): Alert[] {
    return [...this.alerts.values()];
  }

  /** Take the server's list of unresolved alerts; those it no longer names are forgotten unless resolved here. */
  replace(alerts: Alert[]): void {
    const kept = this.all().filter((a) => a.status === 'resolved');
    this.alerts.clear();
    for (const alert of [...kept.slice(-200), ...alerts]) this.put(alert);
  }

  /** Take one alert and say whether it was news. */
  put(alert: Alert): boolean {
    const known = this.alerts.get(alert.id);
    if (known && known.version >= alert.version) return false;
    this.alerts.set(alert.id, alert);
    return true;
  }

  /** Take an event's alert, whichever part carries it; gives the alert if it opened just now. */
  event(alert: Alert | null | undefined, change: AlertEvent | null | undefined): Alert | null {
    const after = alert ?? change?.alert;
    if (!after) return null;
    const fresh = !this.alerts.has(after.id);
    const news = this.put(after);
    return news && after.status === 'open' && !after.detected_late && (fresh || change?.change === 'reopened') ? after : null;
  }
}

/** Unacknowledged before acknowledged before resolved, then by severity, then newest first. */
export function byUrgency(a: Alert, b: Alert): number {
  const stage = (x: Alert): number => (x.status === 'resolved' ? 2 : x.status === 'acknowledged' ? 1 : 0);
  return (
    Number(stage(a) === 2) - Number(stage(b) === 2) ||
    RANK[a.severity] - RANK[b.severity] ||
    stage(a) - stage(b) ||
    b.opened_at - a.opened_at ||
    (a.id < b.id ? -1 : 1)
  );
}
