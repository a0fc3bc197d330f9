/** The keyboard: what the keys do, and the handler that does it. Single-letter keys can be turned off. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

import { t, type Key } from '../i18n';
import { ask, asking } from '../alerts/actions';
import { possible } from '../alerts/possible';
import { shownOrder } from '../alerts/list';
import type { Action } from '../live/protocol';
import { board, mayAct, me } from '../live/session';
import { go, param, route, setParam } from './route';

const KEPT_AS = 'cityops.keys';
const open = signal(false);
const letters = signal(localStorage.getItem(KEPT_AS) !== 'off');

export function openHelp(): void {
  open.value = true;
}

function setLetters(on: boolean): void {
  letters.value = on;
  localStorage.setItem(KEPT_AS, on ? 'on' : 'off');
}

function move(by: 1 | -1): void {
  const ids = shownOrder.ids;
  if (ids.length === 0) return;
  const at = ids.indexOf(route.value.alert ?? '');
  const next = ids[at < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, at + by))];
  go('alerts', next);
  const row = document.querySelector<HTMLElement>(`[data-alert-id="${CSS.escape(next)}"] .row-main`);
  row?.focus({ preventScroll: true });
  row?.scrollIntoView({ block: 'nearest' });
}

function act(action: Action): void {
  const alert = board.get(route.value.alert ?? '');
  if (alert && mayAct.value && possible(alert).includes(action)) ask(alert, action);
}

function escape(): void {
  if (open.value) open.value = false;
  else if (param('src')) setParam('src', null);
  else if (route.value.alert) {
    const id = route.value.alert;
    go('home');
    document.querySelector<HTMLElement>(`[data-alert-id="${CSS.escape(id)}"] .row-main`)?.focus();
  }
}

function typing(event: KeyboardEvent): boolean {
  const at = event.target;
  return at instanceof HTMLElement && (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName));
}

function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey || !me.value || asking()) return;
  if (event.key === 'Escape') return escape();
  if (typing(event) || open.value) return;
  if (event.key === '?') return openHelp();
  if (!letters.value) return;
  const run = { j: () => move(1), k: () => move(-1), a: () => act('acknowledge'), r: () => act('resolve') }[event.key];
  if (!run) return;
  event.preventDefault();
  run();
}

const ROWS: readonly [string, Key][] = [
  ['j / k', 'helpMove'],
  ['a', 'helpAck'],
  ['r', 'helpResolve'],
  ['Esc', 'helpEsc'],
  ['?', 'helpHelp'],
];

export function Help(): preact.JSX.Element | null {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  useEffect(() => {
    if (open.value) dialog.current?.showModal();
  }, [open.value]);
  if (!open.value) return null;
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="help-title" onClose={() => (open.value = false)}>
      <h2 id="help-title">{t('helpTitle')}</h2>
      <dl class="facts">
        {ROWS.map(([keys, what]) => <div key={keys}><dt><kbd>{keys}</kbd></dt><dd>{t(what)}</dd></div>)}
      </dl>
      <label class="check">
        <input type="checkbox" checked={letters.value} onChange={(e) => setLetters(e.currentTarget.checked)} /> {t('helpToggle')}
      </label>
      <div class="dialog-buttons">
        <button type="button" class="primary" onClick={() => dialog.current?.close()}>{t('close')}</button>
      </div>
    </dialog>
  );
}
