/** Severity as shape and colour; the word stands beside it wherever it is shown. */
import { t } from '../i18n';
import type { Severity } from '../live/protocol';

const PATH: Record<Severity, string> = {
  critical: 'M1 1H13V13H1Z',
  major: 'M7 .8 13.6 13H.4Z',
  minor: 'M7 .8a6.2 6.2 0 1 0 0 12.4a6.2 6.2 0 1 0 0-12.4Z',
};

export function Glyph({ severity, named = false }: { severity: Severity; named?: boolean }): preact.JSX.Element {
  return (
    <span class={`severity is-${severity}`}>
      <svg viewBox="0 0 14 14" aria-hidden="true">
        <path d={PATH[severity]} />
      </svg>
      <span class={named ? '' : 'visually-hidden'}>{t(severity)}</span>
    </span>
  );
}
