/** The log-in page. */
import { useState } from 'preact/hooks';

import { t } from '../i18n';
import { ApiError, api } from '../live/api';
import { enter } from '../live/session';
import { LangSwitch } from './langswitch';

function sentence(error: unknown): string {
  const status = error instanceof ApiError ? error.status : -1;
  if (status === 0) return t('loginUnreachable');
  if (status === 401) return t('loginWrong');
  if (status === 429) return t('loginTooMany');
  return t('loginFailed', { status });
}

export function Login(): preact.JSX.Element {
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (busy) return;
    if (!user || !password) return setProblem(t('loginEmpty'));
    setBusy(true);
    setProblem('');
    try {
      await api.login(user, password);
      enter(await api.me());
    } catch (error) {
      setProblem(sentence(error));
      setBusy(false);
    }
  };
  return (
    <main class="login">
      <form class="card" onSubmit={(e) => void submit(e)} noValidate>
        <h1>{t('title')}</h1>
        <p class="muted">{t('loginIntro')}</p>
        <label>
          {t('loginUser')}
          <input name="user" autocomplete="username" autofocus value={user} data-testid="login-user" onInput={(e) => setUser(e.currentTarget.value)} />
        </label>
        <label>
          {t('loginPassword')}
          <input
            name="password"
            type="password"
            autocomplete="current-password"
            value={password}
            data-testid="login-password"
            onInput={(e) => setPassword(e.currentTarget.value)}
          />
        </label>
        <p class="problem" role="alert" data-testid="login-problem">{problem}</p>
        <button type="submit" class="primary" disabled={busy} data-testid="login-submit">{t(busy ? 'loginBusy' : 'loginSubmit')}</button>
        <div class="login-foot"><LangSwitch /></div>
      </form>
    </main>
  );
}
