/** Layers with their counts, each can be switched off; and what the colours mean. */
import { label, number, t, tryT, type Key } from '../i18n';
import { LAYERS } from '../live/protocol';
import { catalog, summaries } from '../live/session';
import { TRAITS } from '../live/entities';
import { layersOff, toggleLayer } from '../shell/route';

const STATES: readonly [Key, string][] = [
  ['stateNormal', 'normal'],
  ['stateBusy', 'busy'],
  ['stateWarning', 'warning'],
  ['stateAlarm', 'alarm'],
  ['stateStale', 'stale'],
];

const SHAPES = {
  arrow: 'M0-7 5.5 6 0 4.2-5.5 6Z',
  disc: 'M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0Z',
  square: 'M-5-5H5V5H-5Z',
  diamond: 'M0-7 7 0 0 7-7 0Z',
  dot: 'M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0Z',
} as const;

function Shape({ glyph }: { glyph: keyof typeof SHAPES }): preact.JSX.Element {
  return (
    <svg class="shape" viewBox="-8 -8 16 16" aria-hidden="true">
      <path d={SHAPES[glyph]} />
    </svg>
  );
}

export function Legend(): preact.JSX.Element {
  return (
    <div class="legend">
      <fieldset class="legend-layers">
        <legend class="visually-hidden">{t('layers')}</legend>
        {LAYERS.map((kind, i) => {
          const { shown, gone } = summaries.value[i];
          if (shown + gone === 0) return null;
          const silent = gone > 0 ? t('layerSilent', { n: number(gone, 0) }) : '';
          return (
            <label key={kind} class="legend-layer" title={silent}>
              <input type="checkbox" checked={!layersOff.value.has(i)} onChange={() => toggleLayer(i)} />
              <Shape glyph={TRAITS[kind].glyph} />
              <span>{tryT(`layer_${kind}`, label(catalog.value?.kinds[kind], kind))}</span>
              <b>{number(shown, 0)}</b>
              {silent && <i>{silent}</i>}
            </label>
          );
        })}
      </fieldset>
      <ul class="legend-states" aria-label={t('legend')}>
        {STATES.map(([key, name]) => (
          <li key={name} class={`is-${name}`}>
            <Shape glyph="arrow" />
            {t(key)}
          </li>
        ))}
      </ul>
    </div>
  );
}
