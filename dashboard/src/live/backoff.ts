/** Pause before reconnecting: half a second doubled per failure, at most 15 s, spread over its whole length. */
export class Backoff {
  private failures = 0;

  constructor(
    private readonly random: () => number = Math.random,
    private readonly baseMs = 500,
    private readonly capMs = 15_000,
  ) {}

  /** Milliseconds to wait before the next try; never under a tenth of the ceiling, so that no loop is tight. */
  next(): number {
    const ceiling = Math.min(this.capMs, this.baseMs * 2 ** Math.min(this.failures, 20));
    this.failures += 1;
    return Math.round(ceiling * (0.1 + 0.9 * this.random()));
  }

  reset(): void {
    this.failures = 0;
  }
}
