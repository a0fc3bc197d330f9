/** The page: log-in, big screen, phone, engineer view; which of them follows from address and width. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

import { ActionDialog } from '../alerts/actions';
import { Announcer } from '../alerts/announce';
import { AlertDetail } from '../alerts/detail';
import { AlertList } from '../alerts/list';
import { t, type Key } from '../i18n';
import { link, me, setPace } from '../live/session';
import { Banner } from './banner';
import { Boundary } from './boundary';
import { Header } from './header';
import { Help } from './help';
import { Kpis } from './kpis';
import { Lazy } from './lazy';
import { Login } from './login';
import { href, route, type Page } from './route';
import { Ticker } from './ticker';
import { Toast } from './toast';

const NARROW = matchMedia('(max-width: 860px)');
const narrow = signal(NARROW.matches);
NARROW.addEventListener('change', (event) => (narrow.value = event.matches));

const BIG_SCREEN_PACE_MS = 1000;
const PHONE_MAP_PACE_MS = 5000;

const loadMap = (): Promise<typeof import('../map/panel')> => import('../map/panel');
const loadConnectors = (): Promise<typeof import('../connectors/page')> => import('../connectors/page');
const NOTHING = {};

function BigScreen(): preact.JSX.Element {
  const { alert } = route.value;
  return (
    <main class={`screen${alert ? ' has-detail' : ''}`}>
      <Boundary><Kpis /></Boundary>
      <Boundary><Lazy load={loadMap} props={NOTHING} /></Boundary>
      {alert && <Boundary key={alert}><AlertDetail id={alert} phone={false} /></Boundary>}
      <Boundary><AlertList /></Boundary>
    </main>
  );
}

const TABS: readonly [Page, Key][] = [
  ['alerts', 'navAlerts'],
  ['kpis', 'navKpis'],
  ['map', 'navMap'],
  ['connectors', 'navConnectors'],
];

function Phone(): preact.JSX.Element {
  const { page, alert } = route.value;
  const shown = page === 'home' ? 'alerts' : page;
  if (shown === 'alerts' && alert) {
    return <main class="phone"><Boundary key={alert}><AlertDetail id={alert} phone /></Boundary></main>;
  }
  return (
    <>
      <main class={`phone is-${shown}`}>
        <Boundary key={shown}>
          {shown === 'alerts' && <AlertList />}
          {shown === 'kpis' && <Kpis />}
          {shown === 'map' && <Lazy load={loadMap} props={NOTHING} />}
          {shown === 'connectors' && <Lazy load={loadConnectors} props={NOTHING} />}
        </Boundary>
      </main>
      <nav class="tabs" aria-label={t('navMain')}>
        {TABS.map(([to, key]) => <a key={to} href={href(to)} aria-current={to === shown ? 'page' : undefined}>{t(key)}</a>)}
      </nav>
    </>
  );
}

export function App(): preact.JSX.Element | null {
  const phone = narrow.value;
  const onMap = route.value.page === 'map';
  useEffect(() => setPace(phone ? (onMap ? PHONE_MAP_PACE_MS : 0) : BIG_SCREEN_PACE_MS), [phone, onMap]);
  if (me.value === undefined) return null;
  if (me.value === null) return <Login />;
  const engineer = !phone && route.value.page === 'connectors';
  return (
    <div class={`app is-${link.value}${phone ? ' is-phone' : ''}`}>
      <Header phone={phone} />
      <Banner />
      {phone ? <Phone /> : engineer ? <main class="wide"><Lazy load={loadConnectors} props={NOTHING} /></main> : <BigScreen />}
      {!phone && <Boundary><Ticker /></Boundary>}
      <Toast />
      <Announcer />
      <ActionDialog />
      <Help />
    </div>
  );
}
