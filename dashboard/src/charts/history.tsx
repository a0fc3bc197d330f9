/** The history of one field of one source, with the limit it broke; gaps in the data stay gaps. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { lang, number, shownAs, t } from '../i18n';
import { clock, hourMinute, stamp } from '../i18n/time';
import { ApiError, api } from '../live/api';
import { serverNow } from '../live/session';
import { withGaps } from './gaps';

const EVERY_MS = 20_000;
const POINTS = 240;
const TABLE_ROWS = 200;

export interface Wanted {
  kind: string;
  source: string;
  field: string;
  /** The field's label. */
  name: string;
  /** Milliseconds since 1970. */
  since: number;
  /** Absent while it goes on. */
  until: number | null;
  limit: number | null;
  limitUnit: string;
  /** Seconds between two reports of the source, as its kind expects. */
  interval: number;
}

interface Series {
  x: number[];
  y: (number | null)[];
  unit: string;
  limit: number | null;
}

async function load(w: Wanted): Promise<Series> {
  const until = w.until ?? serverNow();
  const step = Math.max(5, Math.ceil((until - w.since) / 1000 / POINTS), Math.ceil(w.interval));
  const { points: heard, unit } = await api.history(w.kind, w.source, w.field, w.since, until, step);
  const points = withGaps(heard.map(([ts, mean]) => [ts, mean] as const), 3000 * Math.max(w.interval, step));
  const [shown, factor] = shownAs(unit, w.field, w.kind);
  return {
    x: points.map(([ts]) => ts / 1000),
    y: points.map(([, v]) => (v === null ? null : v * factor)),
    unit: shown,
    limit: w.limit !== null && (w.limitUnit === shown || w.limitUnit === unit) ? w.limit * (w.limitUnit === unit ? factor : 1) : null,
  };
}

function options(series: Series, width: number, height: number, rem: number): uPlot.Options {
  const font = `${(0.72 * rem).toFixed(0)}px "Noto Sans SC Variable", sans-serif`;
  const axis = { stroke: '#93a9cf', font, grid: { stroke: '#1b2b47', width: 1 }, ticks: { show: false } };
  const limit = { label: t('historyLimit'), stroke: '#ff5c5c', width: 1.5, dash: [6, 5], points: { show: false } };
  return {
    width,
    height,
    legend: { show: false },
    cursor: { show: false },
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), 'Asia/Shanghai'),
    scales: { y: { range: (_u, low, high) => padded(low, high, series.limit) } },
    axes: [
      { ...axis, space: 5 * rem, size: 1.6 * rem, values: (_u, at, _i, _s, step) => at.map((ts) => (step < 60 ? clock : hourMinute)(ts * 1000)) },
      { ...axis, size: 3 * rem, values: (_u, at) => at.map((v) => number(v)) },
    ],
    series: [
      {},
      { stroke: '#4ea1ff', width: 1.8, fill: '#4ea1ff1f', points: { show: series.x.length < 30, size: 5 }, spanGaps: false },
      ...(series.limit === null ? [] : [limit]),
    ],
  };
}

function padded(low: number | null, high: number | null, limit: number | null): [number, number] {
  const values = [low, high, limit].filter((v): v is number => v !== null && Number.isFinite(v));
  if (values.length === 0) return [0, 1];
  const min = Math.min(...values);
  const max = Math.max(...values);
  // A vehicle that stands still is a line at zero, not a scale of hundredths.
  const pad = (max - min || Math.abs(max) || 10) * 0.12;
  return [min >= 0 ? Math.max(0, min - pad) : min - pad, max + pad];
}

function Plot({ series, name }: { series: Series; name: string }): preact.JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = host.current as HTMLDivElement;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const size = (): { width: number; height: number } => ({ width: element.clientWidth, height: 10 * rem });
    const { width, height } = size();
    const flat = series.limit === null ? [] : [series.x.map(() => series.limit)];
    const plot = new uPlot(options(series, width, height, rem), [series.x, series.y, ...flat] as uPlot.AlignedData, element);
    const watch = new ResizeObserver(() => plot.setSize(size()));
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  }, [series, lang.value]);
  return <div class="plot" ref={host} role="img" aria-label={`${t('history', { field: name })} ${series.unit}`} />;
}

function Table({ series }: { series: Series }): preact.JSX.Element {
  const rows = series.x.map((x, i) => [x, series.y[i]] as const).slice(-TABLE_ROWS);
  return (
    <details class="plot-table">
      <summary>{t('historyTable')}</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label={t('historyTable')}>
        <table>
          <thead><tr><th>{t('historyTime')}</th><th>{series.unit || '#'}</th></tr></thead>
          <tbody>{rows.map(([x, y]) => <tr key={x}><td>{stamp(x * 1000)}</td><td>{number(y)}</td></tr>)}</tbody>
        </table>
      </div>
    </details>
  );
}

export default function HistoryChart({ wanted }: { wanted: Wanted }): preact.JSX.Element {
  const [series, setSeries] = useState<Series | null>(null);
  const [failure, setFailure] = useState<number | null>(null);
  const key = `${wanted.kind}/${wanted.source}/${wanted.field}/${wanted.since}/${wanted.until ?? ''}`;
  useEffect(() => {
    let gone = false;
    const read = (): void => {
      load(wanted)
        .then((s) => gone || (setSeries(s), setFailure(null)))
        .catch((e: unknown) => gone || setFailure(e instanceof ApiError ? e.status : 0));
    };
    read();
    const id = wanted.until === null ? window.setInterval(read, EVERY_MS) : 0;
    return () => {
      gone = true;
      clearInterval(id);
    };
  }, [key]);
  const some = useMemo(() => series?.y.some((v) => v !== null) ?? false, [series]);
  return (
    <section class="card" aria-label={t('history', { field: wanted.name })}>
      <h3>
        {t('history', { field: wanted.name })} {series?.unit && <span class="muted">({series.unit})</span>}
        {series?.limit != null && <span class="limit-key">{t('historyLimit')} {number(series.limit)}</span>}
      </h3>
      {failure !== null && <p class="problem">{t('loadFailed', { status: failure })}</p>}
      {series && some && <Plot series={series} name={wanted.name} />}
      {series && !some && <p class="muted">{t('historyNone')}</p>}
      {series && some && <Table series={series} />}
    </section>
  );
}
