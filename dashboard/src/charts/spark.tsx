/** A small curve of the last minutes: a path over its panel's width, gaps left open. */
import type { Trend } from '../live/trends';

const W = 240;
const H = 40;

export interface SparkPaths {
  line: string;
  area: string;
}

/** Paths of a trend within W x H; null values break them. */
export function sparkPaths(trend: Trend): SparkPaths {
  const known = trend.value.filter((v): v is number => v !== null);
  if (known.length < 2) return { line: '', area: '' };
  const low = Math.min(...known);
  const high = Math.max(...known);
  const middle = (low + high) / 2;
  const span = Math.max(high - low, Math.abs(middle) * 0.04, 1e-9);
  const [from, to] = [trend.at[0], trend.at[trend.at.length - 1]];
  const x = (at: number): string => (((at - from) / Math.max(1, to - from)) * W).toFixed(1);
  const y = (v: number): string => (H / 2 - ((v - middle) / span) * (H - 8)).toFixed(1);
  let line = '';
  let area = '';
  let run: string[] = [];
  const close = (): void => {
    if (run.length > 1) {
      line += `M${run.join('L')}`;
      area += `M${run[0].split(',')[0]},${H}L${run.join('L')}L${run[run.length - 1].split(',')[0]},${H}Z`;
    }
    run = [];
  };
  trend.value.forEach((v, i) => (v === null ? close() : run.push(`${x(trend.at[i])},${y(v)}`)));
  close();
  return { line, area };
}

export function Spark({ trend, name }: { trend: Trend | undefined; name: string }): preact.JSX.Element {
  const { line, area } = trend ? sparkPaths(trend) : { line: '', area: '' };
  return (
    <svg class="spark" viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" role="img" aria-label={name}>
      <path class="spark-area" d={area} />
      <path class="spark-line" d={line} vector-effect="non-scaling-stroke" />
    </svg>
  );
}
