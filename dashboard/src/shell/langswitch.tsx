/** Chinese or English; the choice is in the address and remembered. */
import { lang, t } from '../i18n';
import type { Lang } from '../live/protocol';
import { param, setParam } from './route';

const KEPT_AS = 'cityops.lang';

/** The language the address asks for, else the remembered one, else Chinese. */
export function startLang(): Lang {
  const asked = param('lang') ?? localStorage.getItem(KEPT_AS);
  return asked === 'en' ? 'en' : 'zh-CN';
}

export function setLang(next: Lang): void {
  lang.value = next;
  document.documentElement.lang = next;
  document.title = t('title');
  localStorage.setItem(KEPT_AS, next);
}

export function LangSwitch(): preact.JSX.Element {
  const other: Lang = lang.value === 'en' ? 'zh-CN' : 'en';
  const change = (): void => {
    setLang(other);
    setParam('lang', other === 'en' ? 'en' : null);
  };
  return (
    <button type="button" class="pillbox" data-testid="lang-switch" lang={other} onClick={change}>
      {other === 'en' ? 'English' : '中文'}
    </button>
  );
}
