import { describe, expect, it } from 'vitest';

import { asFilter, chosen } from '../src/alerts/filter';
import { possible } from '../src/alerts/possible';
import { AlertBoard, byUrgency } from '../src/live/board';
import type { Alert } from '../src/live/protocol';

function alert(id: string, over: Partial<Alert> = {}): Alert {
  return {
    id,
    version: 1,
    status: 'open',
    rule: 'r',
    rule_version: 1,
    severity: 'major',
    kind: 'bus_position',
    source: 's',
    started: 1,
    last: 1,
    opened_at: 1,
    ...over,
  };
}

describe('the board', () => {
  it('keeps the newest version, whatever the order', () => {
    const board = new AlertBoard();
    expect(board.put(alert('a', { version: 2, status: 'acknowledged' }))).toBe(true);
    expect(board.put(alert('a'))).toBe(false);
    expect(board.get('a')?.status).toBe('acknowledged');
  });

  it('forgets what the server no longer names, but not what was resolved here', () => {
    const board = new AlertBoard();
    board.replace([alert('a'), alert('b')]);
    board.put(alert('b', { version: 2, status: 'resolved' }));
    board.replace([alert('c')]);
    expect(board.all().map((a) => a.id).sort()).toEqual(['b', 'c']);
  });

  it('tells an opening from a change', () => {
    const board = new AlertBoard();
    expect(board.event(alert('a'), null)?.id).toBe('a');
    expect(board.event(alert('a', { version: 2 }), null)).toBeNull();
    expect(board.event(null, { id: 'x', alert_id: 'a', version: 3, change: 'reopened', at: 1, alert: alert('a', { version: 3 }) })?.id).toBe('a');
    expect(board.event(null, null)).toBeNull();
  });
});

describe('the list', () => {
  const all = [
    alert('minor', { severity: 'minor' }),
    alert('done', { severity: 'critical', status: 'resolved' }),
    alert('mine', { severity: 'critical', status: 'acknowledged', acked_by: 'me' }),
    alert('theirs', { status: 'acknowledged', acked_by: 'other' }),
    alert('sensor', { severity: 'critical', category: 'data' }),
    alert('old', { severity: 'critical', opened_at: 1 }),
    alert('new', { severity: 'critical', opened_at: 9 }),
  ];

  it('puts what is urgent first and sensors last', () => {
    expect(chosen(all, 'all', 'me').map((a) => a.id)).toEqual(['new', 'old', 'mine', 'theirs', 'minor', 'sensor']);
  });

  it('has presets', () => {
    expect(chosen(all, 'open', 'me').map((a) => a.id)).toEqual(['new', 'old', 'minor', 'sensor']);
    expect(chosen(all, 'mine', 'me').map((a) => a.id)).toEqual(['mine']);
    expect(chosen(all, 'data', 'me').map((a) => a.id)).toEqual(['sensor']);
    expect(chosen(all, 'resolved', 'me').map((a) => a.id)).toEqual(['done']);
    expect([asFilter('open'), asFilter('nonsense'), asFilter(null)]).toEqual(['open', 'all', 'all']);
  });

  it('orders the same from any beginning', () => {
    const once = [...all].sort(byUrgency).map((a) => a.id);
    expect([...all].reverse().sort(byUrgency).map((a) => a.id)).toEqual(once);
  });
});

describe('actions', () => {
  it('are those the state allows', () => {
    expect(possible(alert('a'))).toEqual(['acknowledge', 'resolve', 'note']);
    expect(possible(alert('a', { status: 'acknowledged' }))).toEqual(['resolve', 'note']);
    expect(possible(alert('a', { status: 'resolved' }))).toEqual(['reopen', 'note']);
  });
});
