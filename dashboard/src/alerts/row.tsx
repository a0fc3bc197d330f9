/** One alert in the list. */
import { useComputed } from '@preact/signals';

import { t } from '../i18n';
import { age, stamp, timer } from '../i18n/time';
import type { Alert } from '../live/protocol';
import { mayAct, now } from '../live/session';
import { go, href } from '../shell/route';
import { ask } from './actions';
import { Glyph } from './glyph';
import { brief, person, title } from './words';

/** How long ago, ticking by itself without drawing its surroundings anew. */
export function Ago({ at }: { at: number }): preact.JSX.Element {
  const text = useComputed(() => t('ageAgo', { age: age((now.value - at / 1000) / 1000) }));
  return <time title={stamp(at / 1000)}>{text}</time>;
}

function Unacked({ since }: { since: number }): preact.JSX.Element {
  const text = useComputed(() => t('unacked', { timer: timer((now.value - since / 1000) / 1000) }));
  return <>{text}</>;
}

/** Who holds the alert, or how long nobody has. */
export function Standing({ alert }: { alert: Alert }): preact.JSX.Element {
  if (alert.status === 'open') {
    return (
      <span class={`standing is-${alert.severity}`}>
        <Unacked since={alert.opened_at} />
      </span>
    );
  }
  const resolved = alert.status === 'resolved';
  const who = person(resolved ? alert.resolved_by : alert.acked_by);
  const at = resolved ? alert.resolved_at : alert.acked_at;
  return (
    <span class="standing" data-testid="alert-actor" title={at ? stamp(at / 1000) : ''}>
      {t(resolved ? 'resolvedBy' : 'ackedBy', { actor: who })}
    </span>
  );
}

export function AlertLink({ alert }: { alert: Alert }): preact.JSX.Element {
  return (
    <a class="alert-link" href={href('alerts', alert.id)}>
      <Glyph severity={alert.severity} /> {title(alert)}
    </a>
  );
}

export function Row({ alert, selected }: { alert: Alert; selected: boolean }): preact.JSX.Element {
  return (
    <li
      class={`row is-${alert.severity} is-${alert.status}${selected ? ' is-selected' : ''}`}
      data-testid="alert-row"
      data-alert-id={alert.id}
      data-severity={alert.severity}
      data-status={alert.status}
      data-rule={alert.rule}
    >
      <button type="button" class="row-main" aria-current={selected ? 'true' : undefined} onClick={() => go('alerts', alert.id)}>
        <Glyph severity={alert.severity} />
        <span class="row-title">{title(alert)}</span>
        <Standing alert={alert} />
        <span class="row-more">
          <span class="row-word">{t(alert.severity)}</span>
          {alert.category === 'data' && <span class="tag">{t('dataTag')}</span>}
          {alert.cleared != null && alert.status !== 'resolved' && <span class="tag">{t('clearedTag')}</span>}
          <span class="row-reason">{brief(alert)}</span>
          <span class="row-source">{alert.source}</span>
        </span>
        {alert.status !== 'open' && <span class="row-age"><Ago at={alert.opened_at} /></span>}
      </button>
      {alert.status === 'open' && mayAct.value && (
        <button type="button" class="row-ack" data-testid="ack-button" aria-label={`${t('ackShort')}: ${title(alert)}`} onClick={() => ask(alert, 'acknowledge')}>
          {t('ackShort')}
        </button>
      )}
    </li>
  );
}
