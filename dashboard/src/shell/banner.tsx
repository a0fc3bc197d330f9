/** What is wrong with the connection, in one sentence across the page. */
import { t } from '../i18n';
import { age, clock } from '../i18n/time';
import { link, now, outdated, silence } from '../live/session';

export function Banner(): preact.JSX.Element | null {
  const s = silence.value;
  if (outdated.value) {
    return (
      <div class="banner is-info" role="status">
        {t('bannerOutdated')} <button type="button" onClick={() => location.reload()}>{t('reload')}</button>
      </div>
    );
  }
  if (s === null || link.value === 'live') return null;
  const down = link.value === 'down';
  const sentence = down
    ? t('bannerDown', { age: age(s), time: clock(now.value - 1000 * s) })
    : t('bannerStale', { age: age(s) });
  return (
    <div class={`banner ${down ? 'is-down' : 'is-stale'}`} data-testid="connection-banner">
      {sentence}
    </div>
  );
}
