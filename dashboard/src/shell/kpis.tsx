/** Key figures by department: value, unit, age, a curve of the last minutes. Old figures look old. */
import { NONE, measure, number, shownAs, t, tryT, type Key } from '../i18n';
import { age } from '../i18n/time';
import { Spark } from '../charts/spark';
import type { Kpi } from '../live/protocol';
import { kpis, link, now, silence, trends } from '../live/session';

interface CardPlan {
  title: Key;
  main: string;
  /** Word that counts the value, where the figure itself has no unit. */
  unit?: Key;
  more: readonly string[];
}

const PLAN: readonly CardPlan[] = [
  { title: 'card_bus', main: 'buses_online', unit: 'unit_vehicle', more: [] },
  { title: 'card_taxi', main: 'taxis_online', unit: 'unit_vehicle', more: [] },
  { title: 'card_coach', main: 'coaches_online', unit: 'unit_vehicle', more: ['hazmat_online'] },
  { title: 'card_bike', main: 'bikes_available', unit: 'unit_bike', more: ['bike_stations_online'] },
  { title: 'card_dust', main: 'dust_pm10_mean', more: ['dust_stations_online'] },
  { title: 'card_road', main: 'traffic_speed_mean', more: ['detectors_online'] },
  { title: 'card_platform', main: 'readings_rate', unit: 'unit_reading', more: [] },
];
/** Shown in header and list already. */
const ELSEWHERE = new Set(['alerts_open', 'connectors_live']);
/** A figure older than this is struck out. */
const STALE_S = 120;
const SLOW: Record<string, number> = { traffic_speed_mean: 900, detectors_online: 900 };

function ageNow(kpi: Kpi | undefined): number | null {
  if (!kpi || kpi.ageS === null) return null;
  return kpi.ageS + Math.max(0, silence.value ?? 0);
}

function isStale(kpi: Kpi | undefined): boolean {
  const s = ageNow(kpi);
  return s !== null && (s > (SLOW[kpi?.id ?? ''] ?? STALE_S) || link.value === 'down');
}

function figure(kpi: Kpi | undefined, unit?: Key): { value: string; unit: string } {
  if (!kpi || kpi.value === null) return { value: NONE, unit: '' };
  const [shown, factor] = shownAs(kpi.unit);
  return { value: number(kpi.value * factor), unit: unit ? t(unit) : shown };
}

function Card({ plan, byId }: { plan: CardPlan; byId: Map<string, Kpi> }): preact.JSX.Element {
  const kpi = byId.get(plan.main);
  const { value, unit } = figure(kpi, plan.unit);
  const stale = isStale(kpi);
  const name = tryT(`kpi_${plan.main}`, plan.main);
  return (
    <li class={`card kpi${stale ? ' is-stale' : ''}`} data-testid="kpi-card" data-kpi={plan.main}>
      <header>
        <h3>{t(plan.title)}</h3>
        <span class="muted">{name}</span>
      </header>
      <p class="kpi-value">
        <b>{value}</b> <span class="kpi-unit">{unit}</span>
        {kpi?.total != null && <span class="muted">{t('kpiOf', { total: number(kpi.total, 0) })}</span>}
      </p>
      <p class="kpi-more">
        {plan.more.map((id) => <More key={id} id={id} kpi={byId.get(id)} />)}
        <KpiAge kpi={kpi} stale={stale} />
      </p>
      <Spark trend={trends.get(plan.main)} name={`${t(plan.title)} ${name} ${value} ${unit}`} />
    </li>
  );
}

function More({ id, kpi }: { id: string; kpi: Kpi | undefined }): preact.JSX.Element {
  const text = kpi ? measure(kpi.value, kpi.unit) : NONE;
  return (
    <span>
      {tryT(`kpi_${id}`, id)} <b>{text}</b>
      {kpi?.total != null && <> / {number(kpi.total, 0)}</>}
    </span>
  );
}

function KpiAge({ kpi, stale }: { kpi: Kpi | undefined; stale: boolean }): preact.JSX.Element {
  const s = ageNow(kpi);
  void now.value;
  if (s === null) return <span class="kpi-age">{t('kpiNoData')}</span>;
  return (
    <span class="kpi-age">
      {stale && <strong>{t('kpiStale')} · </strong>}
      {t('kpiAge', { age: age(s) })}
    </span>
  );
}

/** Whether a department was ever heard from; cards of those that are not connected would only take room. */
function isKnown(plan: CardPlan, byId: Map<string, Kpi>): boolean {
  return [plan.main, ...plan.more].some((id) => byId.get(id)?.ageS != null);
}

export function Kpis(): preact.JSX.Element {
  const byId = new Map(kpis.value.map((k) => [k.id, k]));
  const planned = new Set(PLAN.flatMap((p) => [p.main, ...p.more]));
  const others = kpis.value
    .filter((k) => !planned.has(k.id) && !ELSEWHERE.has(k.id))
    .map((k): CardPlan => ({ title: 'kpis', main: k.id, more: [] }));
  const all = [...PLAN, ...others];
  const known = all.filter((plan) => isKnown(plan, byId));
  return (
    <section class="kpis" aria-label={t('kpis')} tabIndex={0}>
      <ul>
        {(known.length > 0 ? known : all).map((plan) => <Card key={plan.main} plan={plan} byId={byId} />)}
      </ul>
    </section>
  );
}
