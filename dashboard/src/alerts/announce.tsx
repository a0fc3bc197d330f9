/** New alerts for those who listen: at most one sentence every five seconds. */
import { useEffect, useState } from 'preact/hooks';

import { t } from '../i18n';
import { byUrgency } from '../live/board';
import { unannounced } from '../live/session';
import { title } from './words';

const EVERY_MS = 5000;

export function Announcer(): preact.JSX.Element {
  const [said, setSaid] = useState({ urgent: '', calm: '' });
  useEffect(() => {
    const id = setInterval(() => {
      const fresh = unannounced.value;
      if (fresh.length === 0) return;
      unannounced.value = [];
      const first = [...fresh].sort(byUrgency)[0];
      const sentence = t('announce', { n: fresh.length, first: `${t(first.severity)} ${title(first)}` });
      setSaid(first.severity === 'critical' ? { urgent: sentence, calm: '' } : { urgent: '', calm: sentence });
    }, EVERY_MS);
    return () => clearInterval(id);
  }, []);
  return (
    <div class="visually-hidden">
      <div role="log" aria-live="polite" aria-label={t('alerts')}>{said.calm}</div>
      <div role="alert">{said.urgent}</div>
    </div>
  );
}
