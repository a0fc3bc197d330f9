/** The foot of the big screen: counts by severity and the newest alerts; nothing scrolls. */
import { number } from '../i18n';
import { clock } from '../i18n/time';
import { Glyph } from '../alerts/glyph';
import { reason, title } from '../alerts/words';
import { board, boardVersion } from '../live/session';
import { href } from './route';

const NEWEST = 3;

export function Ticker(): preact.JSX.Element {
  const all = (boardVersion.value, board.all()).filter((a) => a.status !== 'resolved');
  const newest = [...all].sort((a, b) => b.opened_at - a.opened_at).slice(0, NEWEST);
  return (
    <footer class="ticker">
      {(['critical', 'major', 'minor'] as const).map((severity) => (
        <span key={severity} class="ticker-count">
          <Glyph severity={severity} named /> <b class={`is-${severity}`}>{number(all.filter((a) => a.severity === severity).length, 0)}</b>
        </span>
      ))}
      <span class="ticker-news">
        {newest.map((a) => (
          <a key={a.id} href={href('alerts', a.id)}>
            <time>{clock(a.opened_at / 1000)}</time> {title(a)} <span class="muted">{reason(a)}</span>
          </a>
        ))}
      </span>
    </footer>
  );
}
