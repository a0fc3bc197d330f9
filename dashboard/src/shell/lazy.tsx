/** A component whose code is fetched when it is first shown; a failed fetch offers another try. */
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { t } from '../i18n';

interface LazyProps<P> {
  load(): Promise<{ default: ComponentType<P> }>;
  props: P;
}

export function Lazy<P extends object>({ load, props }: LazyProps<P>): preact.JSX.Element | null {
  const [Loaded, setLoaded] = useState<{ it: ComponentType<P> } | null>(null);
  const [attempt, setAttempt] = useState(0);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let gone = false;
    load().then(
      (module) => gone || setLoaded({ it: module.default }),
      () => gone || setFailed(true),
    );
    return () => {
      gone = true;
    };
  }, [attempt]);
  if (Loaded) return <Loaded.it {...props} />;
  if (failed) {
    const again = (): void => {
      setFailed(false);
      setAttempt(attempt + 1);
    };
    return (
      <p class="problem">
        {t('panelBroken')} <button type="button" onClick={again}>{t('retry')}</button>
      </p>
    );
  }
  return null;
}
