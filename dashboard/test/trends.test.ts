import { describe, expect, it } from 'vitest';

import { sparkPaths } from '../src/charts/spark';
import type { Kpi } from '../src/live/protocol';
import { TREND_EVERY_MS, Trends } from '../src/live/trends';

const START = 1_700_000_000_000;
const kpi = (value: number | null): Kpi[] => [{ id: 'buses_online', value, total: null, unit: '', ageS: 0 }];

function filled(count: number): Trends {
  const trends = new Trends();
  for (let i = 0; i < count; i++) trends.add(START + i * TREND_EVERY_MS, kpi(i));
  return trends;
}

describe('the small curves', () => {
  it('go on after the page was loaded again, broken where it was away for long', () => {
    const later = START + 60_000;
    const again = new Trends();
    again.takeUp(filled(3).kept());
    expect(again.get('buses_online')?.value).toEqual([0, 1, 2]);
    again.add(later, kpi(7));
    again.add(later + TREND_EVERY_MS, kpi(8));
    expect(again.get('buses_online')?.value).toEqual([0, 1, 2, null, 7, 8]);
    expect(sparkPaths(again.get('buses_online')!).line.match(/M/g)).toHaveLength(2);
  });

  it('forget what is too old, and never grow without end', () => {
    const again = new Trends();
    again.takeUp(filled(3).kept());
    again.add(START + 3_600_000, kpi(7));
    expect(again.get('buses_online')?.value).toEqual([7]);
    expect(filled(500).get('buses_online')?.at).toHaveLength(180);
  });

  it.each(['', '{', 'null', '[1]', '[["a",{"at":[1],"value":[]}]]', '[["a",{"at":["x"],"value":[1]}]]'])(
    'begin anew where %j was kept',
    (text) => {
      const trends = new Trends();
      trends.takeUp(text);
      expect(trends.get('a')).toBeUndefined();
    },
  );

  it('leave points of a clock that was ahead', () => {
    const trends = new Trends();
    trends.takeUp(filled(3).kept());
    trends.add(START, kpi(7));
    expect(trends.get('buses_online')?.value).toEqual([7]);
  });
});
