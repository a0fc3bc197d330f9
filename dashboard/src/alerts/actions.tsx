/** Acting on an alert: one dialog for note and cause, one honest answer about what became of it. */
import { signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';

import { t, type Key } from '../i18n';
import { hourMinute } from '../i18n/time';
import type { Outcome } from '../live/commands';
import type { Action, Alert } from '../live/protocol';
import { board, boardVersion, commands } from '../live/session';
import { say } from '../shell/toast';
import { Glyph } from './glyph';
import { person, title } from './words';

const TITLES: Record<Action, Key> = {
  acknowledge: 'ackTitle',
  resolve: 'resolveTitle',
  note: 'noteTitle',
  reopen: 'reopenTitle',
};
const CAUSES = ['fixed', 'recovered', 'planned', 'sensor', 'false', 'other'] as const;

const asked = signal<{ id: string; action: Action } | null>(null);

export function ask(alert: Alert, action: Action): void {
  asked.value = { id: alert.id, action };
}

export const asking = (): boolean => asked.value !== null;

function report(result: Outcome): void {
  const after = result.alert;
  if (after && board.put(after)) boardVersion.value += 1;
  if (result.outcome === 'ok') say(t('resultOk'), 'good');
  else if (result.outcome === 'conflict') say(t('resultConflict', { who: winner(after) }), 'bad');
  else if (result.outcome === 'refused') say(t('resultRefused', { detail: result.detail }), 'bad');
  else say(t(result.outcome === 'offline' ? 'resultOffline' : 'resultTimeout'), 'bad');
}

function winner(after: Alert | null): string {
  if (!after) return '?';
  const resolved = after.status === 'resolved';
  const at = resolved ? after.resolved_at : after.acked_at;
  const who = person(resolved ? after.resolved_by : after.acked_by);
  return `${who} ${t(after.status)}${at ? ` ${hourMinute(at / 1000)}` : ''}`;
}

export function ActionDialog(): preact.JSX.Element | null {
  const now = asked.value;
  const alert = now && (boardVersion.value, board.get(now.id));
  if (!now || !alert) return null;
  return <Form key={`${now.id}/${now.action}`} alert={alert} action={now.action} />;
}

/** A dialog that is open while it is on the page, and gives the focus back afterwards. */
function useModal(): { current: HTMLDialogElement | null } {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => (before instanceof HTMLElement ? before.focus() : undefined);
  }, []);
  return dialog;
}

/** What still misses before the action can be sent. */
function missing(action: Action, note: string, cause: string): Key | null {
  if (action === 'resolve' && !cause) return 'causeNeeded';
  return action === 'note' && !note.trim() ? 'noteNeeded' : null;
}

function Form({ alert, action }: { alert: Alert; action: Action }): preact.JSX.Element {
  const dialog = useModal();
  const [note, setNote] = useState('');
  const [cause, setCause] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Key | null>(null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    const lacks = missing(action, note, cause);
    if (lacks) return setProblem(lacks);
    setBusy(true);
    const latest = board.get(alert.id) ?? alert;
    report(await commands.act(latest, action, { note: note.trim(), cause }));
    asked.value = null;
  };
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="dialog-title" onClose={() => (asked.value = null)}>
      <form onSubmit={(e) => void submit(e)}>
        <h2 id="dialog-title">{t(TITLES[action])}</h2>
        <p class="dialog-alert"><Glyph severity={alert.severity} named /> {title(alert)}</p>
        {action === 'acknowledge' && <p class="muted">{t('ackHint')}</p>}
        {action === 'resolve' && <CauseField cause={cause} pick={setCause} />}
        <NoteField note={note} write={setNote} first={action !== 'resolve'} />
        {problem && <p class="problem" role="alert">{t(problem)}</p>}
        <div class="dialog-buttons">
          <button type="button" onClick={() => dialog.current?.close()}>{t('cancel')}</button>
          <button type="submit" class="primary" disabled={busy} data-testid="dialog-submit">
            {busy ? t('sending') : t(TITLES[action])}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function CauseField({ cause, pick }: { cause: string; pick: (cause: string) => void }): preact.JSX.Element {
  return (
    <label>
      {t('cause')}
      <select value={cause} onChange={(e) => pick(e.currentTarget.value)} data-testid="cause-select">
        <option value="">{t('causePick')}</option>
        {CAUSES.map((c) => <option key={c} value={c}>{t(`cause_${c}`)}</option>)}
      </select>
    </label>
  );
}

function NoteField({ note, write, first }: { note: string; write: (note: string) => void; first: boolean }): preact.JSX.Element {
  return (
    <label>
      {t('note')}
      <textarea
        rows={3}
        maxLength={500}
        value={note}
        placeholder={t('notePlaceholder')}
        data-testid="note-input"
        autofocus={first}
        onInput={(e) => write(e.currentTarget.value)}
      />
    </label>
  );
}
