/** The page's language: dictionary, numbers and units as people read them. */
import { signal } from '@preact/signals';

import type { Lang } from '../live/protocol';
import { en } from './en';
import { SHOWN_AS, type Shown } from './units';
import { zh, type Dictionary, type Key } from './zh';

export type { Key } from './zh';

const DICTIONARIES: Record<Lang, Dictionary> = { 'zh-CN': zh, en };
export const NONE = '—';

export const lang = signal<Lang>('zh-CN');

/** The sentence of that key, with {name} filled from params. */
export function t(key: Key, params: Record<string, string | number> = {}): string {
  return fill(DICTIONARIES[lang.value][key], params);
}

/** The sentence of a key made at run time, or `otherwise` if the dictionary has none. */
export function tryT(key: string, otherwise: string): string {
  const dictionary: Record<string, string> = DICTIONARIES[lang.value];
  return Object.hasOwn(dictionary, key) ? dictionary[key] : otherwise;
}

export function fill(sentence: string, params: Record<string, string | number>): string {
  return sentence.replace(/\{(\w+)\}/g, (whole, name: string) => (name in params ? String(params[name]) : whole));
}

/** The label in the page's language of anything that carries both. */
export function label(item: { zh: string; en: string } | undefined, otherwise = NONE): string {
  return item ? (lang.value === 'en' ? item.en : item.zh) : otherwise;
}

const formats = new Map<string, Intl.NumberFormat>();

/** A number with as many digits as it deserves; absent is a dash. */
export function number(value: number | null | undefined, digits?: number): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  const places = digits ?? (Number.isInteger(value) || size >= 1000 ? 0 : size >= 100 ? 0 : size >= 10 ? 1 : 2);
  const compact = digits === undefined && size >= 1e6;
  const key = `${lang.value}/${places}/${compact}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(lang.value, {
      maximumFractionDigits: compact ? 2 : places,
      notation: compact ? 'compact' : 'standard',
    });
    formats.set(key, format);
  }
  return format.format(value);
}

/** The unit people use for a field of a kind, and the factor to it; money is named in the page's language. */
export function shownAs(unit: string, field = '', kind = ''): Shown {
  const by = SHOWN_AS[unit];
  const [shown, factor] = by?.[`${kind}.${field}`] ?? by?.[field] ?? by?.[''] ?? [unit, 1];
  return [shown === 'yuan' ? t('yuan') : shown, factor];
}

/** A number with its unit. */
export function measure(value: number | null | undefined, unit: string, field = '', kind = ''): string {
  if (value === null || value === undefined) return NONE;
  const [shown, factor] = shownAs(unit, field, kind);
  return shown ? `${number(value * factor)} ${shown}` : number(value * factor);
}
