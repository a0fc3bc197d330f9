/** Actions on alerts: each has an identity, waits for its result, and never pretends to have succeeded. */
import type { Action, Alert, Command, FromClient, Result } from './protocol';

export interface Outcome {
  outcome: Result['outcome'] | 'offline';
  alert: Alert | null;
  detail: string;
}

const ANSWER_WITHIN_MS = 12_000;

interface Pending {
  settle(outcome: Outcome): void;
  cancel(): void;
}

export class Commands {
  private readonly pending = new Map<string, Pending>();

  constructor(
    private readonly socket: { send(message: FromClient): boolean },
    private readonly later: (ms: number, run: () => void) => () => void,
    private readonly identity: () => string = uuid,
  ) {}

  /** Ask for an action and wait for what became of it. */
  act(alert: Alert, action: Action, words: { note?: string; cause?: string } = {}): Promise<Outcome> {
    const command: Command = {
      op: 'command',
      cmdId: this.identity(),
      alertId: alert.id,
      action,
      expectedVersion: alert.version,
      ...(words.note && { note: words.note }),
      ...(words.cause && { cause: words.cause }),
    };
    if (!this.socket.send(command)) return Promise.resolve({ outcome: 'offline', alert: null, detail: '' });
    return new Promise((resolve) => {
      const settle = (outcome: Outcome): void => {
        this.pending.get(command.cmdId)?.cancel();
        this.pending.delete(command.cmdId);
        resolve(outcome);
      };
      const cancel = this.later(ANSWER_WITHIN_MS, () => settle({ outcome: 'timeout', alert: null, detail: '' }));
      this.pending.set(command.cmdId, { settle, cancel });
    });
  }

  result(message: Result): void {
    this.pending
      .get(message.cmdId)
      ?.settle({ outcome: message.outcome, alert: message.alert ?? null, detail: message.detail ?? '' });
  }

  /** The connection broke: whether the commands on their way were carried out is not known. */
  lost(): void {
    for (const waiting of [...this.pending.values()]) waiting.settle({ outcome: 'timeout', alert: null, detail: '' });
  }
}

/** A random UUID; crypto.randomUUID exists only on https and localhost, an operations centre may have neither. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
