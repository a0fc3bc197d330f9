/** The engineer's view: how each connector is, whether the books balance, what was refused last. */
import { useEffect, useRef, useState } from 'preact/hooks';

import { NONE, label, number, t } from '../i18n';
import { age, moment, stamp } from '../i18n/time';
import { ApiError, api, type Ledger, type LedgerRow, type RejectEntry } from '../live/api';
import { settled, type Seen } from './settle';
import type { ConnectorState, Health } from '../live/protocol';
import { build, catalog, connectors, entities, now, problems } from '../live/session';

const EVERY_MS = 5000;
const KINDS_SHOWN = 3;
const SHAPE: Record<Health, string> = { live: '●', idle: '○', starting: '◌', degraded: '▲', down: '■', refused: '■' };

/** Read again and again while shown; gives the newest answer and the last failure's status. */
function usePoll<T>(read: () => Promise<T>): { value: T | null; failure: number | null } {
  const [value, setValue] = useState<T | null>(null);
  const [failure, setFailure] = useState<number | null>(null);
  useEffect(() => {
    let gone = false;
    const once = (): void => {
      read().then(
        (v) => gone || (setValue(v), setFailure(null)),
        (e: unknown) => gone || setFailure(e instanceof ApiError ? e.status : 0),
      );
    };
    once();
    const id = setInterval(once, EVERY_MS);
    return () => {
      gone = true;
      clearInterval(id);
    };
  }, []);
  return { value, failure };
}

function Failure({ status }: { status: number | null }): preact.JSX.Element | null {
  return status === null ? null : <p class="problem">{t('loadFailed', { status })}</p>;
}

async function readConnectors(): Promise<ConnectorState[]> {
  const list = await api.connectors();
  connectors.value = new Map(list.map((c) => [c.connector, c]));
  return list;
}

/** The first few names; all of them on demand, so that a mapping of any kind leaves room for the detail. */
function Kinds({ of }: { of: string[] | undefined }): preact.JSX.Element {
  const names = (of ?? []).map((k) => label(catalog.value?.kinds[k], k));
  const more = names.length - KINDS_SHOWN;
  return (
    <td title={names.join(' · ')}>
      {names.slice(0, KINDS_SHOWN).join(' · ') || NONE}
      {more > 0 && <span class="muted"> +{more}</span>}
    </td>
  );
}

function ConnectorRow({ it }: { it: ConnectorState }): preact.JSX.Element {
  const last = it.last_reading ?? null;
  const seconds = last === null ? null : (now.value - last / 1000) / 1000;
  return (
    <tr data-testid="connector-row" data-connector={it.connector} data-health={it.health}>
      <th scope="row">{it.connector}<span class="muted"> {it.type}</span></th>
      <td class={`health is-${it.health}`}><span aria-hidden="true">{SHAPE[it.health]}</span> {t(`health_${it.health}`)}</td>
      <td class="num">{number(it.rate ?? 0)} <span class="muted">{t('perSecond')}</span></td>
      <td title={last === null ? '' : stamp(last / 1000)}>{seconds === null ? NONE : t('ageAgo', { age: age(seconds) })}</td>
      <td class="num">{number(it.readings ?? 0, 0)}</td>
      <td class="num">{number(it.rejects ?? 0, 0)}</td>
      <td class="num">{number(it.connections ?? 0, 0)}</td>
      <Kinds of={it.kinds} />
      <td class="wrap">{it.detail || NONE}</td>
    </tr>
  );
}

function ConnectorTable(): preact.JSX.Element {
  const { failure } = usePoll(readConnectors);
  const all = [...connectors.value.values()].sort((a, b) => a.connector.localeCompare(b.connector));
  const heads = ['colConnector', 'colHealth', 'colRate', 'colLast', 'colReadings', 'colRejects', 'colConnections', 'colKinds', 'colDetail'] as const;
  const right: readonly string[] = ['colRate', 'colReadings', 'colRejects', 'colConnections'];
  return (
    <section class="card" aria-labelledby="connectors-title">
      <h2 id="connectors-title">{t('connectorsTitle')}</h2>
      <Failure status={failure} />
      <div class="scroll" tabIndex={0} role="region" aria-labelledby="connectors-title">
        <table>
          <thead><tr>{heads.map((h) => <th key={h} scope="col" class={right.includes(h) ? 'num' : ''}>{t(h)}</th>)}</tr></thead>
          <tbody>{all.map((c) => <ConnectorRow key={c.connector} it={c} />)}</tbody>
        </table>
      </div>
      {all.length === 0 && <p class="muted">{t('noneYet')}</p>}
    </section>
  );
}

function rowKey(row: LedgerRow): string {
  return `${row.connector ?? ''}|${row.kind ?? ''}`;
}

const COLUMNS = [
  ['received', 'received'],
  ['stored', 'stored'],
  ['duplicates', 'duplicates'],
  ['rejected', 'rejected'],
  ['in_flight', 'inFlight'],
  ['lost', 'lost'],
] as const;

/** Rows of a ledger joined over partitions. */
function joined(rows: LedgerRow[]): LedgerRow[] {
  const out = new Map<string, LedgerRow>();
  for (const row of rows) {
    const key = rowKey(row);
    const sum = out.get(key);
    if (!sum) out.set(key, { ...row });
    else for (const [name] of COLUMNS) sum[name] += row[name];
  }
  return [...out.values()];
}

function LedgerNumbers({ row }: { row: LedgerRow }): preact.JSX.Element {
  return (
    <>
      {COLUMNS.map(([name]) => (
        <td key={name} class={`num${name === 'lost' && row.lost !== 0 ? ' is-critical' : ''}`}>{number(row[name], 0)}</td>
      ))}
    </>
  );
}

const SETTLE_MS = 60_000;
const VERDICT_CLASS = { ledgerBalanced: 'is-good', ledgerSettling: 'muted', ledgerOff: 'is-critical' } as const;
const VERDICT_SHAPE = { ledgerBalanced: '●', ledgerSettling: '◌', ledgerOff: '■' } as const;

/** The ledger with rows that are merely under way told from lost ones; `since`: how long it has been watched. */
function useLedger(): { value: Ledger | null; failure: number | null; since: number } {
  const seen = useRef<Seen>(new Map());
  const since = useRef(now.value);
  const read = async (): Promise<Ledger> => {
    const found = await api.ledger();
    const at = now.value;
    return { ...settled(found, 'all', seen.current, at, SETTLE_MS), by: joined(found.by ?? []).map((row) => settled(row, rowKey(row), seen.current, at, SETTLE_MS)) };
  };
  return { ...usePoll<Ledger>(read), since: since.current };
}

function LedgerCard(): preact.JSX.Element {
  const { value, failure, since } = useLedger();
  const verdict = !value || value.lost === 0 ? 'ledgerBalanced' : now.value - since < SETTLE_MS ? 'ledgerSettling' : 'ledgerOff';
  return (
    <section class="card" aria-labelledby="ledger-title" data-testid="ledger">
      <h2 id="ledger-title">
        {t('ledger')}{' '}
        {value && <span class={VERDICT_CLASS[verdict]}>{VERDICT_SHAPE[verdict]} {t(verdict)}</span>}
      </h2>
      <p class="muted">{t('ledgerHint')}</p>
      <Failure status={failure} />
      {value && (
        <div class="scroll" tabIndex={0} role="region" aria-labelledby="ledger-title">
          <table>
            <thead>
              <tr>
                <th scope="col">{t('colConnector')}</th>
                <th scope="col">{t('colKinds')}</th>
                {COLUMNS.map(([name, key]) => <th key={name} scope="col" class="num">{t(key)}</th>)}
              </tr>
            </thead>
            <tbody>
              <tr class="total"><th scope="row" colSpan={2}>{t('filterAll')}</th><LedgerNumbers row={value} /></tr>
              {value.by.map((row) => (
                <tr key={rowKey(row)}>
                  <th scope="row">{row.connector ?? NONE}</th>
                  <td>{label(catalog.value?.kinds[row.kind ?? ''], row.kind ?? NONE)}</td>
                  <LedgerNumbers row={row} />
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function stage(name: string | undefined): string {
  if (name === 'decode' || name === 'clean') return t(`stage_${name}`);
  return name ?? NONE;
}

function RejectsCard(): preact.JSX.Element {
  const { value, failure } = usePoll<RejectEntry[]>(api.rejects);
  const heads = ['colTime', 'colConnector', 'colStage', 'colReason', 'colSource', 'colDetail'] as const;
  return (
    <section class="card" aria-labelledby="rejects-title" data-testid="rejects">
      <h2 id="rejects-title">{t('rejects')}</h2>
      <Failure status={failure} />
      {value?.length === 0 && <p class="muted">{t('rejectsNone')}</p>}
      {value && value.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-labelledby="rejects-title">
          <table>
            <thead><tr>{heads.map((h) => <th key={h} scope="col">{t(h)}</th>)}</tr></thead>
            <tbody>
              {value.map((r, i) => (
                <tr key={i}>
                  <td title={stamp((r.seen_at ?? r.ts) / 1000)}>{moment((r.seen_at ?? r.ts) / 1000, now.value)}</td>
                  <td>{r.connector}</td>
                  <td>{stage(r.stage)}</td>
                  <td>{label(catalog.value?.reasons[r.reason], r.reason)}</td>
                  <td>{r.source ?? NONE}</td>
                  <td class="wrap">{r.detail ?? NONE}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function ClientCard(): preact.JSX.Element {
  const last = problems.value[problems.value.length - 1];
  return (
    <section class="card">
      <h2>{t('clientTitle')}</h2>
      <dl class="facts is-wide">
        <div><dt>{t('clientBuild')}</dt><dd>{build.value || NONE}</dd></div>
        <div><dt>{t('clientRows')}</dt><dd>{number(entities.refusedRows, 0)}</dd></div>
        <div><dt>{t('clientFrames')}</dt><dd>{number(entities.refusedFrames, 0)}</dd></div>
        <div><dt>{t('clientProblems')}</dt><dd>{number(problems.value.length, 0)}{last && ` · ${last.code}: ${last.detail}`}</dd></div>
      </dl>
    </section>
  );
}

export default function ConnectorsPage(): preact.JSX.Element {
  return (
    <div class="engineer">
      <ConnectorTable />
      <LedgerCard />
      <RejectsCard />
      <ClientCard />
    </div>
  );
}
