import { beforeEach, describe, expect, it } from 'vitest';

import { Backoff } from '../src/live/backoff';
import { Commands, uuid } from '../src/live/commands';
import type { Alert, FromClient } from '../src/live/protocol';
import { LiveSocket, type Listener, type Wire } from '../src/live/socket';

class Clock {
  ms = 0;
  private due: { at: number; run: () => void }[] = [];

  later = (ms: number, run: () => void): (() => void) => {
    const entry = { at: this.ms + ms, run };
    this.due.push(entry);
    return () => (this.due = this.due.filter((d) => d !== entry));
  };

  pass(ms: number): void {
    const until = this.ms + ms;
    for (;;) {
      const next = this.due.filter((d) => d.at <= until).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.ms = next.at;
      this.due = this.due.filter((d) => d !== next);
      next.run();
    }
    this.ms = until;
  }
}

class FakeWire implements Wire {
  binaryType: BinaryType = 'blob';
  readyState = 0;
  said: FromClient[] = [];
  onopen: Wire['onopen'] = null;
  onclose: Wire['onclose'] = null;
  onmessage: Wire['onmessage'] = null;

  send(text: string): void {
    this.said.push(JSON.parse(text) as FromClient);
  }
  close(): void {
    this.readyState = 3;
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.({} as Event);
  }
  hears(message: object | ArrayBuffer | string): void {
    const data = message instanceof ArrayBuffer || typeof message === 'string' ? message : JSON.stringify(message);
    this.onmessage?.({ data } as MessageEvent);
  }
  breaks(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code } as CloseEvent);
  }
}

const WELCOME = { op: 'welcome', proto: 1, epoch: 'E', build: 'b', nowMs: 1, intervalMs: 1000, seq: 5, user: 'u', role: 'duty', resumed: false };
let clock: Clock;
let wires: FakeWire[];
let told: string[];
let socket: LiveSocket;

beforeEach(() => {
  clock = new Clock();
  wires = [];
  told = [];
  const note = (name: string) => (detail?: unknown) => void told.push(detail === undefined ? name : `${name} ${String(detail)}`);
  const listener: Listener = {
    welcome: (_m, fresh) => note('welcome')(fresh ? 'new' : 'same'),
    frame: () => note('frame')(),
    names: () => note('names')(),
    tick: () => note('tick')(),
    alerts: (m) => note('alerts')(m.seq),
    event: (m) => note('event')(m.seq),
    result: (m) => note('result')(m.outcome),
    problem: (m) => note('problem')(m.code),
    outdated: () => note('outdated')(),
    unauthorised: () => note('unauthorised')(),
    connected: (open) => note('connected')(open),
  };
  const open = (): Wire => {
    const wire = new FakeWire();
    wires.push(wire);
    return wire;
  };
  socket = new LiveSocket({ open, later: clock.later, backoff: new Backoff(() => 1), lang: () => 'zh-CN' }, listener);
  socket.subscribe({ op: 'subscribe', layers: [0], intervalMs: 1000 });
  socket.start();
  wires[0].open();
  wires[0].hears(WELCOME);
  wires[0].hears({ op: 'alerts', seq: 5, alerts: [] });
  told = [];
});

const event = (seq: number): object => ({ op: 'event', seq });

describe('the conversation', () => {
  it('begins with hello and goes on with what is wanted', () => {
    expect(wires[0].said).toEqual([
      { op: 'hello', proto: 1, lang: 'zh-CN' },
      { op: 'subscribe', layers: [0], intervalMs: 1000 },
    ]);
    expect(wires[0].binaryType).toBe('arraybuffer');
  });

  it('applies events in order, ignores repeats, and asks anew at a hole', () => {
    for (const seq of [6, 6, 7, 9, 10]) wires[0].hears(event(seq));
    expect(told).toEqual(['event 6', 'event 7']);
    expect(wires[0].said.at(-1)).toEqual({ op: 'snapshot' });
    expect(wires[0].said.filter((m) => m.op === 'snapshot')).toHaveLength(1);
    wires[0].hears({ op: 'alerts', seq: 10, alerts: [] });
    wires[0].hears(event(11));
    expect(told.slice(2)).toEqual(['alerts 10', 'event 11']);
  });

  it('asks anew when the server says so', () => {
    wires[0].hears({ op: 'resync', reason: 'overflow' });
    expect(wires[0].said.at(-1)).toEqual({ op: 'snapshot' });
  });

  it('acknowledges every frame, a burst with one message', () => {
    for (let i = 0; i < 8; i++) wires[0].hears(new ArrayBuffer(16));
    clock.pass(100);
    wires[0].hears(new ArrayBuffer(16));
    clock.pass(100);
    expect(wires[0].said.filter((m) => m.op === 'ack')).toEqual([
      { op: 'ack', frames: 8 },
      { op: 'ack', frames: 1 },
    ]);
  });

  it('tells of what is no JSON instead of breaking, and passes over what it does not know', () => {
    wires[0].hears('{"op":');
    wires[0].hears({ op: 'something newer' });
    expect(told).toEqual(['problem bad_json']);
  });
});

describe('a connection that breaks', () => {
  it('comes back after a growing pause and resumes where it was', () => {
    wires[0].hears(event(6));
    wires[0].breaks();
    clock.pass(499);
    expect(wires).toHaveLength(1);
    clock.pass(1);
    expect(wires).toHaveLength(2);
    wires[1].breaks();
    clock.pass(999);
    expect(wires).toHaveLength(2);
    clock.pass(1);
    wires[2].open();
    expect(wires[2].said[0]).toEqual({ op: 'hello', proto: 1, lang: 'zh-CN', resume: { epoch: 'E', events: 6 } });
    told = [];
    wires[2].hears({ ...WELCOME, seq: 7, resumed: true });
    wires[2].hears(event(7));
    expect(told).toEqual(['welcome same', 'connected true', 'event 7']);
  });

  it('does not believe events of another epoch before its snapshot', () => {
    wires[0].breaks();
    clock.pass(500);
    wires[1].open();
    told = [];
    wires[1].hears({ ...WELCOME, epoch: 'F', seq: 2 });
    wires[1].hears(event(6));
    wires[1].hears({ op: 'alerts', seq: 2, alerts: [] });
    wires[1].hears(event(3));
    expect(told).toEqual(['welcome new', 'connected true', 'alerts 2', 'event 3']);
  });

  it('comes back at once when hurried', () => {
    wires[0].breaks();
    socket.hurry();
    expect(wires).toHaveLength(2);
    clock.pass(60_000);
    expect(wires.length).toBeGreaterThan(2); // the second never opened: given up for silence, tried again
  });

  it('is given up when the server falls silent', () => {
    clock.pass(19_999);
    expect(wires).toHaveLength(1);
    clock.pass(1 + 500);
    expect(wires).toHaveLength(2);
  });

  it('stays away when logged out or outdated', () => {
    wires[0].breaks(4401);
    clock.pass(120_000);
    expect(wires).toHaveLength(1);
    expect(told).toContain('unauthorised');
    socket.start();
    wires[1].breaks(4406);
    clock.pass(120_000);
    expect(wires).toHaveLength(2);
    expect(told).toContain('outdated');
  });
});

describe('pauses', () => {
  it('double up to 15 s, are spread by chance, and begin anew after success', () => {
    const most = new Backoff(() => 1);
    expect([1, 2, 3, 4, 5, 6, 7].map(() => most.next())).toEqual([500, 1000, 2000, 4000, 8000, 15000, 15000]);
    most.reset();
    expect(most.next()).toBe(500);
    const least = new Backoff(() => 0);
    expect([least.next(), least.next()]).toEqual([50, 100]);
  });
});

describe('commands', () => {
  const alert = { id: 'A', version: 3 } as Alert;

  it('wait for their own result', async () => {
    const said: FromClient[] = [];
    const commands = new Commands({ send: (m) => (said.push(m), true) }, clock.later, () => 'c1');
    const done = commands.act(alert, 'acknowledge', { note: 'seen' });
    expect(said).toEqual([{ op: 'command', cmdId: 'c1', alertId: 'A', action: 'acknowledge', expectedVersion: 3, note: 'seen' }]);
    commands.result({ op: 'result', cmdId: 'other', outcome: 'ok' });
    commands.result({ op: 'result', cmdId: 'c1', outcome: 'conflict', alert });
    await expect(done).resolves.toEqual({ outcome: 'conflict', alert, detail: '' });
  });

  it('say so when nobody answers, the connection breaks, or there is none', async () => {
    const commands = new Commands({ send: () => true }, clock.later);
    const slow = commands.act(alert, 'resolve');
    clock.pass(12_000);
    await expect(slow).resolves.toMatchObject({ outcome: 'timeout' });
    const cut = commands.act(alert, 'resolve');
    commands.lost();
    await expect(cut).resolves.toMatchObject({ outcome: 'timeout' });
    const offline = new Commands({ send: () => false }, clock.later);
    await expect(offline.act(alert, 'resolve')).resolves.toMatchObject({ outcome: 'offline' });
  });

  it('have identities in the form of a UUID', () => {
    expect(uuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(uuid()).not.toBe(uuid());
  });
});
