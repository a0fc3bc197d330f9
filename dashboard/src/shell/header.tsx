/** The header: where we are, what time it is, how old the data is, whether the parts and the connection are well. */
import { useComputed } from '@preact/signals';

import { NONE, number, t } from '../i18n';
import { age, clock, day, weekday } from '../i18n/time';
import { api } from '../live/api';
import { connectors, dataAge, leave, link, me, now, type Link } from '../live/session';
import { LangSwitch } from './langswitch';
import { openHelp } from './help';
import { href, route } from './route';

const OLD_S = 30;
const VERY_OLD_S = 120;

function Clock(): preact.JSX.Element {
  const text = useComputed(() => `${day(now.value)} ${clock(now.value)} ${weekday(now.value)}`);
  return <time class="pillbox" title={t('clockZone')}>{text}</time>;
}

function DataAge(): preact.JSX.Element {
  const s = dataAge.value;
  const tone = s === null || s > VERY_OLD_S ? 'is-critical' : s > OLD_S ? 'is-major' : 'is-good';
  return (
    <span class="pillbox" data-testid="data-age">
      {t('dataAge')} <b class={tone}>{s === null ? NONE : age(s)}</b>
    </span>
  );
}

function Connectors(): preact.JSX.Element {
  const all = [...connectors.value.values()];
  const ok = all.filter((c) => c.health === 'live' || c.health === 'idle').length;
  return (
    <a class="pillbox" href={href('connectors')} data-testid="connector-strip">
      {t('connectors')}{' '}
      <b class={ok === all.length && ok > 0 ? 'is-good' : ''}>{t('connectorsOk', { ok: number(ok, 0), all: number(all.length, 0) })}</b>
      {ok < all.length && <b class="is-major"> · ▲ {t('connectorsBad', { n: number(all.length - ok, 0) })}</b>}
    </a>
  );
}

const LINK_SHAPE: Record<Link, string> = { live: '●', stale: '▲', down: '■' };

export function LinkState(): preact.JSX.Element {
  const state = link.value;
  return (
    <span class={`pillbox link is-${state}`} data-testid="connection-state" data-state={state} role="status">
      <span aria-hidden="true">{LINK_SHAPE[state]}</span> {t(state)}
    </span>
  );
}

async function logOut(): Promise<void> {
  await api.logout().catch(() => undefined);
  leave();
}

function UserMenu(): preact.JSX.Element {
  const who = me.value;
  return (
    <details class="menu">
      <summary class="pillbox" data-testid="user-menu">{who?.user}</summary>
      <div class="card menu-items">
        <p class="muted">{t('userMenu', { user: who?.user ?? '' })}<br />{t('role')}: {who?.role}</p>
        <button type="button" onClick={openHelp}>{t('help')} ?</button>
        <button type="button" data-testid="logout" onClick={() => void logOut()}>{t('logout')}</button>
      </div>
    </details>
  );
}

export function Header({ phone }: { phone: boolean }): preact.JSX.Element {
  const on = route.value.page === 'connectors';
  return (
    <header class="top">
      <h1>{t(phone ? 'titleShort' : 'title')}</h1>
      {!phone && (
        <>
          <Clock />
          <DataAge />
          <Connectors />
          <span class="spring" />
          <nav aria-label={t('navMain')}>
            <a href={href('home')} aria-current={on ? undefined : 'page'}>{t('navScreen')}</a>
            <a href={href('connectors')} aria-current={on ? 'page' : undefined}>{t('navConnectors')}</a>
          </nav>
        </>
      )}
      {phone && <span class="spring" />}
      <LinkState />
      <LangSwitch />
      <UserMenu />
    </header>
  );
}
