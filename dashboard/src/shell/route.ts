/** All view state lives in the address: #/page/id?param=value, so that it can be sent to a colleague. */
import { computed, signal } from '@preact/signals';

export type Page = 'home' | 'alerts' | 'kpis' | 'map' | 'connectors';

export interface Route {
  page: Page;
  /** Alert opened by #/alerts/ID. */
  alert: string | null;
  params: URLSearchParams;
}

const PAGES: readonly string[] = ['alerts', 'kpis', 'map', 'connectors'];

export function parseHash(hash: string): Route {
  const [path, query = ''] = hash.replace(/^#/, '').split('?', 2);
  const [, page = '', id = ''] = path.split('/');
  const known = (PAGES.includes(page) ? page : 'home') as Page;
  return { page: known, alert: known === 'alerts' && id ? decode(id) : null, params: new URLSearchParams(query) };
}

export function formatHash(route: Route): string {
  const page = route.page === 'home' ? '' : route.page;
  const id = route.alert === null ? '' : `/${encodeURIComponent(route.alert)}`;
  const query = route.params.toString().replaceAll('%2C', ',').replaceAll('%3A', ':');
  return `#/${page}${id}${query ? `?${query}` : ''}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = signal<Route>({ page: 'home', alert: null, params: new URLSearchParams() });

/** Follow the address from now on. */
export function followAddress(): void {
  const read = (): void => {
    route.value = parseHash(location.hash);
  };
  addEventListener('hashchange', read);
  read();
}

/** Open a page, keeping the parameters. */
export function go(page: Page, alert: string | null = null): void {
  const next = formatHash({ page, alert, params: route.value.params });
  if (next !== location.hash) location.hash = next;
}

/** The address of a page, for links. */
export function href(page: Page, alert: string | null = null): string {
  return formatHash({ page, alert, params: route.value.params });
}

/** Set or drop one parameter without a new entry in the browser's history. */
export function setParam(name: string, value: string | null): void {
  const params = new URLSearchParams(route.value.params);
  if (value === null || value === '') params.delete(name);
  else params.set(name, value);
  const next = { ...route.value, params };
  history.replaceState(null, '', formatHash(next));
  route.value = next;
}

export function param(name: string): string | null {
  return route.value.params.get(name);
}

/** Numbers of the layers switched off. */
export const layersOff = computed(() => {
  const off = route.value.params.get('off');
  return new Set(off ? off.split(',').map(Number) : []);
});

export function toggleLayer(layer: number): void {
  const off = new Set(layersOff.value);
  if (!off.delete(layer)) off.add(layer);
  setParam('off', [...off].sort((a, b) => a - b).join(','));
}
