/** A short sentence about what just happened, gone after a while. */
import { signal } from '@preact/signals';

type Tone = 'good' | 'bad';
const current = signal<{ text: string; tone: Tone } | null>(null);
let timer = 0;

export function say(text: string, tone: Tone): void {
  current.value = { text, tone };
  clearTimeout(timer);
  timer = window.setTimeout(() => (current.value = null), tone === 'good' ? 4000 : 10_000);
}

export function Toast(): preact.JSX.Element {
  const it = current.value;
  return (
    <div class="toast-place" role="status" data-testid="toast">
      {it && <p class={`toast is-${it.tone}`}>{it.text}</p>}
    </div>
  );
}
