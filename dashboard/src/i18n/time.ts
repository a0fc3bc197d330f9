/** Times and ages; the city's zone is always Asia/Shanghai and the clock has 24 hours. */
import { lang, NONE, t } from './index';

const ZONE = 'Asia/Shanghai';
const CLOCK: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit' };
const formats = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions, locale: string = lang.value): Intl.DateTimeFormat {
  const key = locale + JSON.stringify(options);
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(locale, { timeZone: ZONE, hourCycle: 'h23', ...options });
    formats.set(key, found);
  }
  return found;
}

/** 14:32:08 */
export function clock(ms: number): string {
  return format(CLOCK).format(ms);
}

/** 14:32 */
export function hourMinute(ms: number): string {
  return format({ hour: '2-digit', minute: '2-digit' }).format(ms);
}

/** 2026-11-23 */
export function day(ms: number): string {
  return format({ year: 'numeric', month: '2-digit', day: '2-digit' }, 'sv-SE').format(ms);
}

/** 周一 or Mon */
export function weekday(ms: number): string {
  return format({ weekday: 'short' }).format(ms);
}

/** Day and time, for tooltips and tables. */
export function stamp(ms: number): string {
  return `${day(ms)} ${clock(ms)}`;
}

/** The time alone today, with the day before it otherwise. */
export function moment(ms: number, nowMs: number): string {
  return day(ms) === day(nowMs) ? clock(ms) : `${day(ms).slice(5)} ${hourMinute(ms)}`;
}

/** A length of time in its one fitting unit: 8 s, 3 min, 5 h, 2 d. */
export function age(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const s = Math.max(0, seconds);
  if (s < 90) return t('seconds', { n: Math.round(s) });
  if (s < 90 * 60) return t('minutes', { n: Math.round(s / 60) });
  if (s < 36 * 3600) return t('hours', { n: Math.round(s / 3600) });
  return t('days', { n: Math.round(s / 86400) });
}

/** A running timer: 02:16, 1:02:16. */
export function timer(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const pad = (n: number): string => String(n).padStart(2, '0');
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${pad(minutes)}:${pad(s % 60)}`;
  return `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${pad(s % 60)}`;
}
