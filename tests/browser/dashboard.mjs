/** The dashboard in real Chromium, as duty staff use it. Says what it found as one JSON line; exit status 0 only if all holds.
 *
 *  node tests/browser/dashboard.mjs --url http://127.0.0.1:8808 --user USER --password PASSWORD --out DIR [--entities 900] [--rules 3]
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const require = createRequire(new URL('../../dashboard/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const text = (name, otherwise) => [name, { type: 'string', default: otherwise }];
const { values: given } = parseArgs({
  options: Object.fromEntries([
    text('url'), text('user'), text('password'), text('out', 'build/browser'),
    text('chromium', '/usr/bin/chromium'), text('entities', '900'), text('rules', '3'), text('patience', '180'),
  ]),
});
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--enable-unsafe-swiftshader', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
const PATIENCE = 1000 * Number(given.patience);
const id = (name) => `[data-testid="${name}"]`;
given.url = given.url.replace(/\/+$/, '');
const host = new URL(given.url).host;
const report = { steps: [], problems: [], requests: 0 };

function hold(what, holds, detail = '') {
  report.steps.push(`${holds ? 'ok' : 'FAILED'}: ${what}${detail === '' ? '' : ` (${detail})`}`);
  if (!holds) report.problems.push(`${what}${detail === '' ? '' : `: ${detail}`}`);
}

function watch(page) {
  page.on('request', (request) => {
    report.requests += 1;
    const url = new URL(request.url());
    if (!['data:', 'blob:'].includes(url.protocol) && url.host !== host) report.problems.push(`request left the machine: ${url}`);
  });
  page.on('pageerror', (error) => report.problems.push(`error in the page: ${error}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('401')) report.problems.push(`console: ${message.text()}`);
  });
}

async function axe(page, where) {
  const rules = { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] };
  await page.evaluate(AXE); // through the debugger: the page's own policy forbids injected scripts
  const { violations } = await page.evaluate((runOnly) => globalThis.axe.run(document, { runOnly }), rules);
  const told = violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 3).join(', ')}`);
  hold(`no accessibility violation on ${where}`, violations.length === 0, told.join('; '));
}

async function logIn(page, hash = '#/') {
  await page.goto(`${given.url}/${hash}`);
  await page.fill(id('login-user'), given.user);
  await page.fill(id('login-password'), given.password);
  await page.click(id('login-submit'));
  await page.waitForSelector(id('connection-state'));
}

async function shot(page, name) {
  await page.screenshot({ path: join(given.out, `${name}.png`) });
}

async function loginPage(page) {
  await page.goto(given.url);
  await page.waitForSelector(id('login-user'));
  await page.click(id('login-submit'));
  const empty = await page.textContent(id('login-problem'));
  await page.fill(id('login-user'), given.user);
  await page.fill(id('login-password'), `${given.password}-not`);
  await page.click(id('login-submit'));
  await page.waitForFunction((before) => document.querySelector('[data-testid="login-problem"]').textContent !== before, empty);
  hold('a wrong password is told and lets nobody in', (await page.locator(id('map')).count()) === 0);
  await axe(page, 'the log-in page');
  await shot(page, 'login');
}

async function bigScreen(page) {
  await logIn(page);
  await page.waitForFunction(
    ([selector, least]) => Number(document.querySelector(selector)?.dataset.count) > least,
    [id('entity-count'), Number(given.entities)],
    { timeout: PATIENCE },
  );
  hold('the map shows the city', true, `${await page.getAttribute(id('entity-count'), 'data-count')} entities`);
  const distinct = (selector) => new Set([...document.querySelectorAll(selector)].map((row) => row.dataset.rule)).size;
  await page.waitForFunction(
    ([selector, least]) => new Set([...document.querySelectorAll(selector)].map((row) => row.dataset.rule)).size >= least,
    [id('alert-row'), Number(given.rules)],
    { timeout: PATIENCE },
  );
  hold('alerts of several rules are listed', true, `${await page.evaluate(distinct, id('alert-row'))} rules`);
  const layers = await page.locator('.legend-layer span').allTextContents();
  const named = layers.every((name) => /\p{Script=Han}/u.test(name)) && new Set(layers).size === layers.length;
  hold('every layer has its own entry with a name for people', named && layers.length >= 5, layers.join(', '));
  hold('the connection is live', (await page.getAttribute(id('connection-state'), 'data-state')) === 'live');
  const cards = await page.locator(id('kpi-card')).count();
  hold('key figures are shown', cards >= 5, `${cards} cards`);
  await page.waitForTimeout(12_000); // two points of the small curves
  await axe(page, 'the big screen');
  await shot(page, 'big-screen-1920x1080');
}

/** Acknowledge the first alert that still waits when the dialog is sent; alerts may end by themselves meanwhile. */
async function acknowledge(page, note) {
  for (let attempt = 0; attempt < 5; attempt++) {
    const row = page.locator(`${id('alert-row')}[data-status="open"]`).first();
    await row.waitFor({ timeout: PATIENCE });
    const alert = await row.getAttribute('data-alert-id');
    await page.locator(`[data-alert-id="${alert}"] ${id('ack-button')}`).click();
    await page.fill(id('note-input'), note);
    await page.click(id('dialog-submit'));
    const done = page.locator(`${id('alert-row')}[data-alert-id="${alert}"][data-status="acknowledged"]`);
    if (await done.waitFor({ timeout: 15_000 }).then(() => true, () => false)) return alert;
  }
  return null;
}

async function acknowledgement(page) {
  const note = `已电话核实 ${Date.now() % 100000}`;
  const alert = await acknowledge(page, note);
  hold('an alert can be acknowledged with a note', alert !== null);
  if (alert === null) return null;
  const actor = (await page.textContent(`${id('alert-row')}[data-alert-id="${alert}"] ${id('alert-actor')}`)) ?? '';
  hold('the row names who acknowledged', actor.includes(given.user), actor);
  await page.reload();
  await page.goto(`${given.url}/#/alerts/${alert}`);
  const entry = page.locator(`${id('alert-timeline')} .change-acknowledged`);
  await entry.waitFor({ timeout: 30_000 });
  const told = (await entry.textContent()) ?? '';
  hold('after a reload the acknowledgement is there, with actor, time and note', told.includes(given.user) && told.includes(note) && /\d\d:\d\d/.test(told), told);
  hold('the alert says why it fired', ((await page.textContent(`${id('alert-reason')} .why`)) ?? '').length > 5);
  await page.waitForTimeout(3000);
  const curves = await page.locator('.kpis .spark-line[d^="M"]').count();
  hold('the small curves outlive a reload', curves >= 5, `${curves} curves`);
  await axe(page, 'the alert in full');
  await shot(page, 'alert-1920x1080');
  return alert;
}

async function keyboard(page) {
  await page.goto(`${given.url}/#/`);
  await page.waitForSelector(id('alert-row'));
  await page.keyboard.press('j');
  await page.waitForFunction(() => location.hash.startsWith('#/alerts/'));
  await page.keyboard.press('?');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('dialog[open]'));
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !location.hash.startsWith('#/alerts/'));
  hold('the keyboard selects, helps and closes', true);
}

async function english(page) {
  await page.click(id('lang-switch'));
  await page.waitForFunction(() => document.documentElement.lang === 'en');
  const words = await page.evaluate(() =>
    [...document.querySelectorAll('h1, h2, h3, nav, .legend, .kpi header, .chips, .map-name, .row-title, .row-word')].map((e) => e.textContent).join('|'),
  );
  const left = words.match(/[^|]*\p{Script=Han}[^|]*/gu) ?? [];
  hold('English leaves no Chinese in headings, lists and legend', left.length === 0, left.slice(0, 5).join(' · '));
  hold('the language is in the address', (await page.evaluate(() => location.hash)).includes('lang=en'));
  await axe(page, 'the big screen in English');
  await shot(page, 'big-screen-en-1920x1080');
}

async function engineer(page) {
  await page.goto(`${given.url}/#/connectors`);
  await page.waitForSelector(id('connector-row'), { timeout: 30_000 });
  await page.waitForSelector(`${id('ledger')} table`, { timeout: 30_000 });
  hold('the engineer view lists connectors and the ledger', true, `${await page.locator(id('connector-row')).count()} connectors`);
  await page.waitForTimeout(1500);
  await axe(page, 'the engineer view');
  await shot(page, 'connectors-1920x1080');
}

async function phone(browser, alert) {
  const page = await browser.newPage({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
  watch(page);
  await logIn(page);
  await page.waitForSelector(id('alert-row'));
  await page.waitForTimeout(1500);
  hold('a phone loads no map for the list', (await page.evaluate(() => performance.getEntriesByType('resource').filter((r) => /panel-.*\.js/.test(r.name)).length)) === 0);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  hold('nothing hangs over the edge of a phone', wide <= 390, `${wide} px`);
  await axe(page, 'the phone list');
  await shot(page, 'phone-list-390x844');
  if (alert) {
    await page.goto(`${given.url}/#/alerts/${alert}`);
    await page.waitForSelector(id('alert-timeline'));
    await page.waitForTimeout(2500);
    const small = await page.evaluate(() =>
      [...document.querySelectorAll('.detail-actions button, .detail-head a')].filter((b) => b.getBoundingClientRect().height < 44).length,
    );
    hold('actions on a phone are at least 44 px high', small === 0);
    await axe(page, 'the alert on a phone');
    await shot(page, 'phone-alert-390x844');
  }
  await page.goto(`${given.url}/#/map`);
  await page.waitForFunction(([s, n]) => Number(document.querySelector(s)?.dataset.count) > n, [id('entity-count'), Number(given.entities)], { timeout: 60_000 });
  await page.waitForTimeout(2500);
  await shot(page, 'phone-map-390x844');
  await page.close();
}

/** Silence the server, then cut the line, between page and gateway; the page must say so and come back by itself. */
async function connection(browser) {
  const page = await browser.newPage({ viewport: { width: 1920, height: 1080 } });
  watch(page);
  const lines = [];
  let silent = false;
  await page.routeWebSocket(/\/ws$/, (line) => {
    const server = line.connectToServer();
    server.onMessage((message) => silent || line.send(message));
    line.onMessage((message) => server.send(message));
    lines.push(line);
  });
  const becomes = (state) => page.waitForSelector(`${id('connection-state')}[data-state="${state}"]`, { timeout: 40_000 });
  await logIn(page);
  await becomes('live');
  // figures come with the first tick, a moment after "live"; until then the cards are empty
  await page.waitForFunction((s) => /\d/.test(document.querySelector(s)?.textContent ?? ''), `${id('kpi-card')} .kpi-value b`, { timeout: 20_000 });
  silent = true;
  await becomes('stale');
  hold('a silent server is told within seconds', await page.locator(`${id('connection-banner')}.is-stale`).isVisible());
  await becomes('down');
  await page.waitForSelector(`${id('kpi-card')}.is-stale`, { timeout: 5000 }).catch(() => undefined);
  const struck = await page.locator(`${id('kpi-card')}.is-stale`).count();
  hold('figures look old while the server is silent', struck > 0, `${struck} cards`);
  await axe(page, 'the page without a connection');
  await shot(page, 'connection-lost-1920x1080');
  silent = false;
  await becomes('live');
  const before = lines.length;
  await lines.at(-1).close({ code: 1012 });
  for (let i = 0; i < 100 && lines.length === before; i++) await page.waitForTimeout(200);
  await becomes('live');
  const rows = await page.locator(id('alert-row')).count();
  hold('a cut line is mended by itself, alerts included', lines.length > before && rows > 0, `${rows} alerts`);
  await page.close();
}

async function main() {
  mkdirSync(given.out, { recursive: true });
  const browser = await chromium.launch({ executablePath: given.chromium, args: FLAGS });
  try {
    const page = await browser.newPage({ viewport: { width: 1920, height: 1080 } });
    watch(page);
    await loginPage(page);
    await bigScreen(page);
    const alert = await acknowledgement(page);
    await keyboard(page);
    await english(page);
    await engineer(page);
    await page.close();
    await phone(browser, alert);
    await connection(browser);
    hold('no request left the machine', !report.problems.some((p) => p.startsWith('request')), `${report.requests} requests`);
  } catch (error) {
    report.problems.push(String(error?.stack ?? error));
  } finally {
    await browser.close();
  }
  writeFileSync(join(given.out, 'report.json'), JSON.stringify(report, null, 2));
  process.stdout.write(`${JSON.stringify(report)}\n`);
  process.exitCode = report.problems.length === 0 ? 0 : 1;
}

await main();
