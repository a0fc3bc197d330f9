import { afterEach, describe, expect, it } from 'vitest';

import { withGaps } from '../src/charts/gaps';
import { sparkPaths } from '../src/charts/spark';
import { settled, type Seen } from '../src/connectors/settle';
import { en } from '../src/i18n/en';
import { fill, lang, measure, number, shownAs, t } from '../src/i18n';
import { age, clock, day, moment, timer } from '../src/i18n/time';
import { zh } from '../src/i18n/zh';
import { Trends } from '../src/live/trends';
import { formatHash, parseHash } from '../src/shell/route';

afterEach(() => {
  lang.value = 'zh-CN';
});

describe('the two dictionaries', () => {
  it('have the same keys, none empty', () => {
    expect(Object.keys(en).sort()).toEqual(Object.keys(zh).sort());
    for (const [key, sentence] of [...Object.entries(zh), ...Object.entries(en)]) {
      if (key !== 'unit_piece') expect(sentence.trim(), key).not.toBe('');
    }
  });

  it('name the same parameters', () => {
    const names = (s: string): string => [...s.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().join();
    for (const key of Object.keys(zh) as (keyof typeof zh)[]) expect(names(en[key]), key).toBe(names(zh[key]));
  });

  it('hold no Chinese in the English one', () => {
    for (const [key, sentence] of Object.entries(en)) expect(sentence, key).not.toMatch(/\p{Script=Han}/u);
  });

  it('fill sentences and leave what they were not given', () => {
    expect(fill('{a} of {b}', { a: 1 })).toBe('1 of {b}');
    expect(t('connectorsOk', { ok: 3, all: 4 })).toBe('3/4 正常');
  });
});

describe('ages and times', () => {
  const at = Date.UTC(2026, 10, 23, 6, 32, 8);

  it('are those of Shanghai, in 24 hours', () => {
    expect([day(at), clock(at)]).toEqual(['2026-11-23', '14:32:08']);
    expect(clock(Date.UTC(2026, 0, 1, 16, 0, 0))).toBe('00:00:00');
    expect(day(Date.UTC(2026, 0, 1, 16, 0, 0))).toBe('2026-01-02');
    expect(moment(at, at + 1000)).toBe('14:32:08');
    expect(moment(at, at + 86_400_000)).toBe('11-23 14:32');
  });

  it('have one fitting unit', () => {
    expect([0, 89, 90, 3000, 7200, 200_000].map(age)).toEqual(['0 秒', '89 秒', '2 分钟', '50 分钟', '2 小时', '2 天']);
    lang.value = 'en';
    expect(age(125)).toBe('2 min');
  });

  it('are a dash when absent and never negative', () => {
    expect([age(null), age(undefined), age(Infinity), age(-5)]).toEqual(['—', '—', '—', '0 秒']);
  });

  it('run as a timer', () => {
    expect([0, 136, 3736, -3].map(timer)).toEqual(['00:00', '02:16', '1:02:16', '00:00']);
  });
});

describe('numbers', () => {
  it('have digits as they deserve and a unit people use', () => {
    expect([number(1284), number(0.123), number(58.37), number(null), number(NaN)]).toEqual(['1,284', '0.12', '58.4', '—', '—']);
    expect(measure(10, 'm/s', 'speed')).toBe('36 km/h');
    expect(measure(10, 'm/s', 'wind_speed')).toBe('10 m/s');
    expect(measure(101_300, 'Pa', 'pressure', 'dust_station')).toBe('1,013 hPa');
    expect(measure(350_000, 'Pa', 'pressure', 'water_node')).toBe('0.35 MPa');
    expect(measure(2500, 'Pa', 'outlet_pressure', 'gas_node')).toBe('2.5 kPa');
    expect(measure(0.0125, 'm³/s', 'flow', 'water_node')).toBe('45 m³/h');
    expect(measure(9e6, 'J', 'energy', 'meter_reading')).toBe('2.5 kWh');
    expect([measure(4e5, 'W', 'power', 'power_load'), measure(120, 'W', 'power', 'streetlight')]).toEqual(['400 kW', '120 W']);
    expect(measure(1850, 'fen', 'fare', 'taxi_trip')).toBe('18.5 元');
    expect(shownAs('°C', 'supply_temperature')).toEqual(['°C', 1]);
    lang.value = 'en';
    expect(measure(1850, 'fen')).toBe('18.5 yuan');
    lang.value = 'zh-CN';
    expect(measure(null, 'm/s')).toBe('—');
    expect([number(3_120_000), number(3_120_000, 0)]).toEqual(['312万', '3,120,000']);
  });
});

describe('the address', () => {
  it('carries page, alert and parameters, and survives the round trip', () => {
    const hash = '#/alerts/a%2Fb?lang=en&off=1,4&src=bus_position:7';
    const route = parseHash(hash);
    expect([route.page, route.alert, route.params.get('off')]).toEqual(['alerts', 'a/b', '1,4']);
    expect(formatHash(route)).toBe(hash);
    expect(parseHash('#/nonsense/x').page).toBe('home');
    expect(parseHash('#/alerts/%E0%A4%A').alert).toBe('%E0%A4%A');
  });
});

describe('small curves', () => {
  it('leave gaps where there was no value', () => {
    const trends = new Trends();
    [1, 2, null, 3, 4].forEach((value, i) => trends.add(1e12 + i * 5000, [{ id: 'x', value, unit: '', ageS: 0 }]));
    trends.add(1e12 + 4 * 5000 + 10, [{ id: 'x', value: 99, unit: '', ageS: 0 }]); // too soon: not another point
    expect(trends.get('x')?.value).toEqual([1, 2, null, 3, 4]);
    expect(sparkPaths(trends.get('x')!).line.match(/M/g)).toHaveLength(2);
    expect(sparkPaths({ at: [1], value: [1] }).line).toBe('');
  });
});

describe('a history', () => {
  it('shows silence as a gap only when it is longer than the time between reports', () => {
    const heard = [null, null, 1, null, 2, null, null, null, null, 3, null, null, null, null].map((v, i) => [i * 10, v] as const);
    expect(withGaps(heard, 30).map(([, v]) => v)).toEqual([1, 2, null, null, null, null, 3, null, null, null, null]);
    expect(withGaps(heard, 1000).map(([, v]) => v)).toEqual([1, 2, 3]);
    expect(withGaps([[0, null]], 30)).toEqual([]);
  });
});

describe('the ledger', () => {
  const row = (lost: number) => ({ received: 100, stored: 100 - lost, duplicates: 0, rejected: 0, in_flight: 0, lost });

  it('calls lost only what stays missing', () => {
    const seen: Seen = new Map();
    expect(settled(row(5), 'k', seen, 0, 60_000)).toMatchObject({ lost: 5, in_flight: 0 });
    expect(settled(row(9), 'k', seen, 5_000, 60_000)).toMatchObject({ lost: 5, in_flight: 4 });
    expect(settled(row(0), 'k', seen, 10_000, 60_000)).toMatchObject({ lost: 0 });
    expect(settled(row(7), 'k', seen, 15_000, 60_000)).toMatchObject({ lost: 0, in_flight: 7 });
    expect(settled(row(7), 'k', seen, 80_000, 60_000)).toMatchObject({ lost: 7, in_flight: 0 });
  });
});
