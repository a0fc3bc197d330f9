/** What an entity last said: every field with its unit, refreshed while the card is open. */
import { useEffect, useState } from 'preact/hooks';

import { NONE, label, measure, number, t } from '../i18n';
import { age, stamp } from '../i18n/time';
import { ApiError, api, type FieldLabel, type LatestReading } from '../live/api';
import { board, boardVersion, catalog, entities, now } from '../live/session';
import { AlertLink } from '../alerts/row';
import { param, setParam } from '../shell/route';

const EVERY_MS = 5000;
const NOT_SHOWN = new Set(['kind', 'source', 'ts', 'sent_at', 'seen_at', 'quality', 'lane', 'connector', 'zone', 'raw_lon', 'raw_lat', 'raw_crs']);

export function EntityCard(): preact.JSX.Element | null {
  const chosen = param('src');
  const split = chosen?.indexOf(':') ?? -1;
  if (chosen === null || split < 1) return null;
  return <Card key={chosen} kind={chosen.slice(0, split)} source={chosen.slice(split + 1)} />;
}

function labelOf(kind: string, source: string): string {
  const layer = entities.layers.find((l) => l.kind === kind);
  const slot = layer?.sources.indexOf(source) ?? -1;
  return (slot >= 0 && layer?.labels[slot]) || source;
}

/** The newest reading of a source, read again and again; or why there is none. */
function useReading(kind: string, source: string): { reading: LatestReading | null; failure: string | null } {
  const [reading, setReading] = useState<LatestReading | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  useEffect(() => {
    let gone = false;
    const read = (): void => {
      api
        .source(kind, source)
        .then((r) => gone || (setReading(r), setFailure(null)))
        .catch((e: unknown) => {
          const status = e instanceof ApiError ? e.status : 0;
          if (!gone) setFailure(status === 404 ? t('entityNone') : t('entityFailed', { status }));
        });
    };
    read();
    const id = setInterval(read, EVERY_MS);
    return () => {
      gone = true;
      clearInterval(id);
    };
  }, []);
  return { reading, failure };
}

function Card({ kind, source }: { kind: string; source: string }): preact.JSX.Element {
  const { reading, failure } = useReading(kind, source);
  const known = catalog.value?.kinds[kind];
  const alerts = (boardVersion.value, board.all()).filter((a) => a.kind === kind && a.source === source && a.status !== 'resolved');
  return (
    <aside class="card entity" aria-label={t('entity')} data-testid="entity-card">
      <header>
        <h2>{labelOf(kind, source)}</h2>
        <button type="button" class="plain" aria-label={t('close')} onClick={() => setParam('src', null)}>✕</button>
      </header>
      <p class="muted">{label(known, kind)} · {t('entitySource')} {source}</p>
      {failure && <p class="problem">{failure}</p>}
      {!failure && !reading && <p class="muted">{t('entityLoading')}</p>}
      {reading && <Fields kind={kind} reading={reading} fields={known?.fields ?? []} />}
      {alerts.length > 0 && (
        <>
          <h3>{t('entityAlerts')}</h3>
          <ul class="plain-list">{alerts.map((a) => <li key={a.id}><AlertLink alert={a} /></li>)}</ul>
        </>
      )}
    </aside>
  );
}

function Fields({ kind, reading, fields }: { kind: string; reading: LatestReading; fields: FieldLabel[] }): preact.JSX.Element {
  const inner = reading.fields ?? reading.reading ?? reading.values;
  const flat = { ...reading, ...(typeof inner === 'object' ? inner : {}) } as LatestReading;
  const ts = typeof flat.ts === 'number' ? flat.ts / 1000 : null;
  const shown = fields.filter((f) => !NOT_SHOWN.has(f.name) && flat[f.name] !== null && flat[f.name] !== undefined);
  return (
    <dl class="facts">
      <div>
        <dt>{t('entityTime')}</dt>
        <dd>{ts === null ? NONE : <time title={stamp(ts)}>{stamp(ts).slice(11)} · {t('entityAge', { age: age((now.value - ts) / 1000) })}</time>}</dd>
      </div>
      {shown.map((f) => (
        <div key={f.name}>
          <dt>{label(f)}</dt>
          <dd>{valueText(kind, flat[f.name], f)}</dd>
        </div>
      ))}
    </dl>
  );
}

function valueText(kind: string, value: unknown, field: FieldLabel): string {
  if (typeof value === 'boolean') return value ? t('yes') : t('no');
  if (field.name === 'lon' || field.name === 'lat') return `${Number(value).toFixed(5)} °`;
  if (field.unit === 'µs' && typeof value === 'number') return stamp(value / 1000);
  if (typeof value === 'number') return field.unit ? measure(value, field.unit, field.name, kind) : number(value);
  return String(value);
}
