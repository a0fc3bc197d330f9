/** The alert list: most urgent first, but never moving under the pointer. */
import { useEffect, useRef, useState } from 'preact/hooks';

import { number, t } from '../i18n';
import type { Alert } from '../live/protocol';
import { alertsLoaded, board, boardVersion, me, readResolved } from '../live/session';
import { param, route, setParam } from '../shell/route';
import { FILTERS, FILTER_LABEL, asFilter, chosen, type Filter } from './filter';
import { Row } from './row';

const PAGE = 100;
/** The order stands still for this long after the last touch of the list. */
const CALM_MS = 15_000;

/** Ids in the order last shown, for keyboard moves. */
export const shownOrder: { ids: string[] } = { ids: [] };

function useCalm(): { until: { current: number }; touch: () => void; release: () => void } {
  const until = useRef(0);
  const timer = useRef(0);
  const [, redraw] = useState(0);
  const release = (): void => {
    clearTimeout(timer.current);
    until.current = 0;
    redraw((n) => n + 1);
  };
  const touch = (): void => {
    until.current = performance.now() + CALM_MS;
    clearTimeout(timer.current);
    timer.current = window.setTimeout(release, CALM_MS + 50);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  return { until, touch, release };
}

/** Alerts in the order to show, and how many wait until the list may move. */
function useOrder(sorted: Alert[], key: string, frozen: boolean): { shown: Alert[]; waiting: number } {
  const last = useRef<{ key: string; ids: string[] }>({ key: '', ids: [] });
  if (!frozen || last.current.key !== key || last.current.ids.length === 0) {
    last.current = { key, ids: sorted.map((a) => a.id) };
    return { shown: sorted, waiting: 0 };
  }
  const known = new Set(last.current.ids);
  const shown = last.current.ids.flatMap((id) => board.get(id) ?? []);
  return { shown, waiting: sorted.filter((a) => !known.has(a.id)).length };
}

export function AlertList(): preact.JSX.Element {
  const filter = asFilter(param('f'));
  const all = (boardVersion.value, board.all());
  const sorted = chosen(all, filter, me.value?.user ?? '');
  useEffect(() => {
    if (filter === 'resolved') readResolved().catch(() => undefined);
  }, [filter]);
  const calm = useCalm();
  const { shown, waiting } = useOrder(sorted, filter, performance.now() < calm.until.current);
  const [limit, setLimit] = useState(PAGE);
  const visible = shown.slice(0, limit);
  shownOrder.ids = visible.map((a) => a.id);
  return (
    <section class="alerts" aria-labelledby="alerts-title">
      <Heading all={all} />
      <Chips all={all} filter={filter} />
      {waiting > 0 && (
        <button type="button" class="pill" onClick={calm.release}>{t('alertsNew', { n: waiting })}</button>
      )}
      <ul
        class="rows"
        id="alert-rows"
        tabIndex={-1}
        aria-label={t('alerts')}
        onPointerMove={(e) => e.pointerType === 'mouse' && calm.touch()}
        onFocusIn={calm.touch}
        onKeyDown={calm.touch}
      >
        {visible.map((a) => <Row key={a.id} alert={a} selected={a.id === route.value.alert} />)}
      </ul>
      {shown.length === 0 && <p class="empty">{empty(filter === 'all')}</p>}
      {shown.length > limit && (
        <button type="button" class="more" onClick={() => setLimit(limit + PAGE)}>
          {t('alertsMore', { n: Math.min(PAGE, shown.length - limit) })} / {number(shown.length - limit, 0)}
        </button>
      )}
    </section>
  );
}

function Chips({ all, filter }: { all: Alert[]; filter: Filter }): preact.JSX.Element {
  return (
    <div class="chips" role="group" aria-label={t('filters')}>
      {FILTERS.map((f) => (
        <button type="button" key={f} aria-pressed={f === filter} onClick={() => setParam('f', f === 'all' ? null : f)}>
          {t(FILTER_LABEL[f])} <b>{number(chosen(all, f, me.value?.user ?? '').length, 0)}</b>
        </button>
      ))}
    </div>
  );
}

function empty(all: boolean): string {
  if (!alertsLoaded.value) return t('alertsLoading');
  return t(all ? 'alertsEmpty' : 'alertsEmptyFilter');
}

function Heading({ all }: { all: Alert[] }): preact.JSX.Element {
  const open = all.filter((a) => a.status === 'open').length;
  const active = all.filter((a) => a.status === 'acknowledged').length;
  return (
    <header class="alerts-head">
      <h2 id="alerts-title">{t('alerts')}</h2>
      <span class={open > 0 ? 'is-urgent' : 'muted'}>{t('alertsOpen', { n: number(open, 0) })}</span>
      <span class="muted">{t('alertsActive', { n: number(active, 0) })}</span>
    </header>
  );
}
