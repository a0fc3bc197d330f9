/** One alert in full: why it fired, its chart, what has been done, and what can be done now. */
import { useEffect, useState } from 'preact/hooks';

import { NONE, label, number, t } from '../i18n';
import { age, moment, stamp } from '../i18n/time';
import { Lazy } from '../shell/lazy';
import { ApiError, api, type FieldLabel, type RuleLabel } from '../live/api';
import type { Action, Alert, AlertEvent } from '../live/protocol';
import { board, boardVersion, catalog, mayAct, now, serverNow } from '../live/session';
import { go, href, setParam } from '../shell/route';
import type { Wanted } from '../charts/history';
import { ask } from './actions';
import { possible } from './possible';
import { Glyph } from './glyph';
import { Ago, Standing } from './row';
import { causeName, person, quantity, reason, ruleName, ruleOf, title } from './words';

const LABEL = { acknowledge: 'ack', resolve: 'resolve', note: 'noteAdd', reopen: 'reopen' } as const;
const BEFORE_MS = 30 * 60_000;
const AFTER_MS = 10 * 60_000;

function useTimeline(id: string, version: number | undefined): { events: AlertEvent[]; failure: number | null } {
  const [events, setEvents] = useState<AlertEvent[]>([]);
  const [failure, setFailure] = useState<number | null>(null);
  useEffect(() => {
    let gone = false;
    const read = (): void => {
      api
        .alert(id)
        .then((answer) => {
          if (gone) return;
          setEvents(answer.events);
          setFailure(null);
          if (board.put(answer.alert)) boardVersion.value += 1;
        })
        .catch((e: unknown) => gone || setFailure(e instanceof ApiError ? e.status : 0));
    };
    read();
    const again = setTimeout(read, 2500); // the push may be ahead of the store that keeps the timeline
    return () => {
      gone = true;
      clearTimeout(again);
    };
  }, [id, version]);
  return { events, failure };
}

export function AlertDetail({ id, phone }: { id: string; phone: boolean }): preact.JSX.Element {
  const alert = (boardVersion.value, board.get(id));
  const { events, failure } = useTimeline(id, alert?.version);
  return (
    <section class="detail" aria-label={t('detail')} data-testid="alert-detail" data-alert-id={id}>
      <header class="detail-head">
        <a class="plain-button" href={href(phone ? 'alerts' : 'home')}>{phone ? `‹ ${t('back')}` : t('close')}</a>
        {alert && <Glyph severity={alert.severity} named />}
        <span class="muted detail-id">{id}</span>
      </header>
      {alert ? <Body alert={alert} events={events} phone={phone} /> : <Missing id={id} failure={failure} />}
      {alert && mayAct.value && <Actions alert={alert} />}
    </section>
  );
}

function Missing({ id, failure }: { id: string; failure: number | null }): preact.JSX.Element {
  const text = failure === null ? t('entityLoading') : failure === 404 ? t('detailMissing', { id }) : t('loadFailed', { status: failure });
  return <p class={failure === null ? 'muted' : 'problem'}>{text}</p>;
}

function Body({ alert, events, phone }: { alert: Alert; events: AlertEvent[]; phone: boolean }): preact.JSX.Element {
  const wanted = historyOf(alert);
  return (
    <div class="detail-body" tabIndex={0} role="region" aria-label={title(alert)}>
      <h2>{title(alert)}</h2>
      <p class="muted">
        <Standing alert={alert} /> · {t('factStarted')} {moment(alert.started / 1000, now.value)} · <Ago at={alert.started} />
      </p>
      <Why alert={alert} />
      {wanted && <Lazy key={alert.id} load={() => import('../charts/history')} props={{ wanted }} />}
      <Facts alert={alert} phone={phone} />
      <Timeline events={events} />
    </div>
  );
}

function Why({ alert }: { alert: Alert }): preact.JSX.Element {
  const rule = ruleOf(alert);
  const limit = alert.limit ?? null;
  return (
    <section class="card" data-testid="alert-reason">
      <h3>{t('why')}</h3>
      <p class="why">{reason(alert)}</p>
      {limit !== null && (
        <p class="why-numbers">
          <b class={`is-${alert.severity}`}>{t('whyValue', { value: quantity(alert.value, alert.unit) })}</b>
          <span>{t('whyLimit', { limit: quantity(limit, alert.unit) })}</span>
        </p>
      )}
      <dl class="facts">
        <div><dt>{t('whyClause')}</dt><dd>{rule?.clause || NONE}</dd></div>
        <div><dt>{t('whyRule')}</dt><dd>{t('whyRuleVersion', { rule: ruleName(alert), version: alert.rule_version })}</dd></div>
      </dl>
    </section>
  );
}

function Facts({ alert, phone }: { alert: Alert; phone: boolean }): preact.JSX.Element {
  const at = (us: number | null | undefined): string => (us == null ? NONE : stamp(us / 1000));
  const end = alert.cleared ?? alert.resolved_at;
  const lasted = ((end != null ? end / 1000 : now.value) - alert.started / 1000) / 1000;
  const show = (): void => {
    setParam('src', `${alert.kind}:${alert.source}`);
    if (phone) go('map');
  };
  const rows: [string, string][] = [
    [t('factKind'), label(catalog.value?.kinds[alert.kind], alert.kind)],
    [t('factStarted'), at(alert.started)],
    [t('factLast'), at(alert.last)],
    [t('factCleared'), at(alert.cleared)],
    [t('factDuration'), age(lasted)],
    [t('factCount'), number(alert.count ?? 1, 0)],
  ];
  return (
    <section class="card">
      <h3>{t('facts')}</h3>
      <dl class="facts">
        <div>
          <dt>{t('factSource')}</dt>
          <dd><button type="button" class="link" onClick={show} title={t('showOnMap')}>{alert.source}</button></dd>
        </div>
        {rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
      </dl>
      {alert.detected_late && <p class="tag">{t('lateTag')}</p>}
    </section>
  );
}

function Timeline({ events }: { events: AlertEvent[] }): preact.JSX.Element {
  return (
    <section class="card" data-testid="alert-timeline">
      <h3>{t('timeline')}</h3>
      <ol class="timeline">
        {events.map((e) => (
          <li key={e.id} class={`change-${e.change}`}>
            <time title={stamp(e.at / 1000)}>{moment(e.at / 1000, now.value)}</time>
            <span>
              <b>{person(e.actor)}</b> {t(`change_${e.change}`)}
              {e.cause && <span class="tag">{causeName(e.cause)}</span>}
              {e.note && <q>{e.note}</q>}
            </span>
          </li>
        ))}
      </ol>
      {events.length === 0 && <p class="muted">{t('noneYet')}</p>}
    </section>
  );
}

function Actions({ alert }: { alert: Alert }): preact.JSX.Element {
  const button = (action: Action, first: boolean): preact.JSX.Element => (
    <button
      key={action}
      type="button"
      class={first ? 'primary' : ''}
      data-testid={action === 'acknowledge' ? 'detail-ack-button' : `${action}-button`}
      onClick={() => ask(alert, action)}
    >
      {t(LABEL[action])}
    </button>
  );
  return <footer class="detail-actions">{possible(alert).map((action, i) => button(action, i === 0))}</footer>;
}

/** Which field's history tells most about the alert: the rule's own, else the first numeric one of that unit. */
export function fieldOf(alert: Alert, fields: FieldLabel[], ruleField: string | null | undefined): FieldLabel | undefined {
  const named = [ruleField, alert.evidence?.field, alert.evidence?.metric].find((n) => typeof n === 'string');
  const unit = alert.unit === 'km/h' ? 'm/s' : alert.unit;
  const preferred = ['speed', 'pm10', 'bikes', 'value', 'delay'];
  return (
    fields.find((f) => f.name === named) ??
    (unit ? fields.find((f) => f.unit === unit) : undefined) ??
    preferred.map((name) => fields.find((f) => f.name === name)).find(Boolean)
  );
}

/** The field a rule measures; bits of a flag field make no curve. */
function measured(rule: RuleLabel | undefined): string | undefined {
  const when = rule?.pack?.when;
  return when?.type === 'bits' ? undefined : when?.field;
}

function historyOf(alert: Alert): Wanted | null {
  const kind = catalog.value?.kinds[alert.kind];
  const field = fieldOf(alert, kind?.fields ?? [], measured(ruleOf(alert)));
  if (!field) return null;
  const end = alert.cleared ?? alert.resolved_at;
  const until = end == null ? null : end / 1000 + AFTER_MS;
  return {
    kind: alert.kind,
    source: alert.source,
    field: field.name,
    name: label(field),
    since: alert.started / 1000 - BEFORE_MS,
    until: until !== null && until < serverNow() ? until : null,
    limit: alert.limit ?? null,
    limitUnit: alert.unit ?? '',
    interval: kind?.interval_s ?? 60,
  };
}
