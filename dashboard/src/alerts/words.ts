/** An alert in the words of its rule: title, place, reason. The server sends codes and numbers, never sentences. */
import { NONE, fill, label, lang, number, t, tryT } from '../i18n';
import type { RuleLabel } from '../live/api';
import type { Alert } from '../live/protocol';
import { catalog } from '../live/session';

export function ruleOf(alert: Alert): RuleLabel | undefined {
  return catalog.value?.rules.find((r) => r.id === alert.rule);
}

export function ruleName(alert: Alert): string {
  return label(ruleOf(alert), alert.rule);
}

export function placeName(alert: Alert): string {
  const zone = catalog.value?.zones.find((z) => z.code === alert.zone);
  return label(zone, t('outsideZone'));
}

export function title(alert: Alert): string {
  return `${placeName(alert)} ${ruleName(alert)}`;
}

/** Value as the alert states it, with its unit. */
export function quantity(value: number | null | undefined, unit: string | undefined): string {
  if (value === null || value === undefined) return NONE;
  return unit ? `${number(value)} ${unit}` : number(value);
}

/** One sentence: what was measured and which limit it broke. */
export function reason(alert: Alert): string {
  const rule = ruleOf(alert);
  if (!rule) return alert.value == null ? alert.rule : quantity(alert.value, alert.unit);
  const extra = Object.entries(alert.evidence ?? {}).filter(([, v]) => typeof v === 'string' || typeof v === 'number');
  return fill(lang.value === 'en' ? rule.reason_en : rule.reason_zh, {
    ...(Object.fromEntries(extra) as Record<string, string | number>),
    value: number(alert.value),
    limit: number(alert.limit ?? rule.limit),
    unit: alert.unit ?? rule.unit ?? '',
  });
}

/** Value against limit, for one line of a list; the whole reason where there is no limit. */
export function brief(alert: Alert): string {
  if (alert.value == null || alert.limit == null) return reason(alert);
  return t('brief', { value: quantity(alert.value, alert.unit), limit: number(alert.limit) });
}

export function person(name: string | null | undefined): string {
  return !name || name === 'system' ? t('system') : name;
}

export function causeName(cause: string): string {
  return tryT(`cause_${cause}`, cause);
}
