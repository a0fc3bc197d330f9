/** One websocket to the gateway: hello, resume, acknowledgement of frames, reconnecting. No state of the page lives here. */
import { Backoff } from './backoff';
import {
  PROTO,
  type Alerts,
  type FromClient,
  type FromServer,
  type Lang,
  type LiveEvent,
  type Names,
  type Problem,
  type Result,
  type Subscribe,
  type Tick,
  type Welcome,
} from './protocol';

export interface Wire {
  binaryType: BinaryType;
  readyState: number;
  send(text: string): void;
  close(code?: number): void;
  onopen: ((event: Event) => unknown) | null;
  onclose: ((event: CloseEvent) => unknown) | null;
  onmessage: ((event: MessageEvent) => unknown) | null;
}

/** What the socket needs of its surroundings; tests give fakes. */
export interface Surroundings {
  open(): Wire;
  later(ms: number, run: () => void): () => void;
  backoff: Backoff;
  lang(): Lang;
}

/** Who is told what. */
export interface Listener {
  welcome(message: Welcome, newEpoch: boolean): void;
  frame(bytes: ArrayBuffer): void;
  names(message: Names): void;
  tick(message: Tick): void;
  alerts(message: Alerts): void;
  event(message: LiveEvent): void;
  result(message: Result): void;
  problem(message: Problem): void;
  /** The server's language differs from this page's. */
  outdated(): void;
  /** The session is over: log in again. */
  unauthorised(): void;
  connected(open: boolean): void;
}

/** A silent connection is given up after this long; the server ticks every second. */
const SILENCE_MS = 20_000;
const ACK_AFTER_MS = 25;
const CLOSE_UNAUTHORISED = 4401;
const CLOSE_PROTO = 4406;

export class LiveSocket {
  private wire: Wire | null = null;
  private cancelRetry: (() => void) | null = null;
  private cancelSilence: (() => void) | null = null;
  private cancelAck: (() => void) | null = null;
  private unacked = 0;
  private epoch: string | null = null;
  /** Number of the last event applied; null while a snapshot is awaited. */
  private seq: number | null = null;
  private lastSeq = 0;
  private welcomed = false;
  private stopped = true;
  private wanted: Subscribe | null = null;

  constructor(
    private readonly around: Surroundings,
    private readonly tell: Listener,
  ) {}

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.cancelRetry?.();
    this.drop();
  }

  /** Connect at once if a retry is pending: the network came back or the page is visible again. */
  hurry(): void {
    if (this.stopped || this.wire) return;
    this.around.backoff.reset();
    this.connect();
  }

  subscribe(wanted: Subscribe): void {
    this.wanted = wanted;
    if (this.welcomed) this.send(wanted);
  }

  /** Say something; false if there is nobody to hear it. */
  send(message: FromClient): boolean {
    if (!this.wire || this.wire.readyState !== 1) return false;
    this.wire.send(JSON.stringify(message));
    return true;
  }

  get open(): boolean {
    return this.welcomed;
  }

  private connect(): void {
    this.cancelRetry?.();
    this.cancelRetry = null;
    const wire = this.around.open();
    this.wire = wire;
    wire.binaryType = 'arraybuffer';
    wire.onopen = () => this.greet();
    wire.onmessage = (event) => {
      if (this.wire === wire) this.hear(event.data as string | ArrayBuffer);
    };
    wire.onclose = (event) => {
      if (this.wire === wire) this.closed(event.code);
    };
    this.watch();
  }

  private greet(): void {
    const resume = this.epoch === null ? undefined : { epoch: this.epoch, events: this.lastSeq };
    this.send({ op: 'hello', proto: PROTO, lang: this.around.lang(), ...(resume && { resume }) });
  }

  private watch(): void {
    this.cancelSilence?.();
    this.cancelSilence = this.around.later(SILENCE_MS, () => {
      this.drop();
      this.retry();
    });
  }

  private drop(): void {
    const wire = this.wire;
    this.wire = null;
    this.welcomed = false;
    this.cancelSilence?.();
    this.cancelAck?.();
    this.unacked = 0;
    this.tell.connected(false);
    wire?.close(1000);
  }

  private closed(code: number): void {
    this.drop();
    if (code === CLOSE_UNAUTHORISED) {
      this.stopped = true;
      this.tell.unauthorised();
    } else if (code === CLOSE_PROTO) {
      this.stopped = true;
      this.tell.outdated();
    } else {
      this.retry();
    }
  }

  private retry(): void {
    if (this.stopped) return;
    this.cancelRetry?.();
    this.cancelRetry = this.around.later(this.around.backoff.next(), () => this.connect());
  }

  private hear(said: string | ArrayBuffer): void {
    this.watch();
    if (typeof said !== 'string') {
      this.tell.frame(said);
      this.acknowledge();
      return;
    }
    this.message(parse(said));
  }

  /** Frames come in bursts; one message answers for all that came within a moment. */
  private acknowledge(): void {
    this.unacked += 1;
    if (this.unacked > 1) return;
    this.cancelAck = this.around.later(ACK_AFTER_MS, () => {
      const frames = this.unacked;
      this.unacked = 0;
      this.send({ op: 'ack', frames });
    });
  }

  private message(message: FromServer): void {
    switch (message.op) {
      case 'welcome':
        return this.welcome(message);
      case 'names':
        return this.tell.names(message);
      case 'tick':
        return this.tell.tick(message);
      case 'alerts':
        this.seq = this.lastSeq = message.seq;
        return this.tell.alerts(message);
      case 'event':
        return this.event(message);
      case 'result':
        return this.tell.result(message);
      case 'resync':
        return this.askAnew();
      case 'problem':
        return this.tell.problem(message);
      default: // a newer server may say more than this page knows
        return;
    }
  }

  private welcome(message: Welcome): void {
    const newEpoch = message.epoch !== this.epoch;
    this.epoch = message.epoch;
    this.seq = message.resumed && !newEpoch ? this.lastSeq : null;
    this.welcomed = true;
    this.around.backoff.reset();
    this.tell.welcome(message, newEpoch);
    this.tell.connected(true);
    if (this.wanted) this.send(this.wanted);
  }

  private event(message: LiveEvent): void {
    if (this.seq === null || message.seq <= this.seq) return;
    if (message.seq !== this.seq + 1) {
      this.askAnew();
      return;
    }
    this.seq = this.lastSeq = message.seq;
    this.tell.event(message);
  }

  private askAnew(): void {
    this.seq = null;
    this.send({ op: 'snapshot' });
  }
}

function parse(said: string): FromServer {
  try {
    return JSON.parse(said) as FromServer;
  } catch {
    return { op: 'problem', code: 'bad_json', detail: said.slice(0, 200) };
  }
}
