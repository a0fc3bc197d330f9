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

/** Try to log in; gives what went wrong, or '' once somebody is in. */
async function tryLogin(user: string, password: string): Promise<string> {
  try {
    await api.login(user, password);
    enter(await api.me());
    return '';
  } catch (error) {
    return sentence(error);
  }
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
    const failed = await tryLogin(user, password);
    if (!failed) return;
    setProblem(failed);
    setBusy(false);
  };
  return (
    <main class="login">
      <form class="card" onSubmit={(e) => void submit(e)} noValidate>
        <h1>{t('title')}</h1>
        <p class="muted">{t('loginIntro')}</p>
        <Field name="user" label={t('loginUser')} fill="username" value={user} write={setUser} autofocus />
        <Field name="password" label={t('loginPassword')} fill="current-password" value={password} write={setPassword} secret />
        <p class="problem" role="alert" data-testid="login-problem">{problem}</p>
        <button type="submit" class="primary" disabled={busy} data-testid="login-submit">{t(busy ? 'loginBusy' : 'loginSubmit')}</button>
        <div class="login-foot"><LangSwitch /></div>
      </form>
    </main>
  );
}

interface Asked {
  name: string;
  label: string;
  /** What browsers may fill in. */
  fill: string;
  value: string;
  write: (value: string) => void;
  autofocus?: boolean;
  /** Not readable while typed. */
  secret?: boolean;
}

function Field({ name, label, fill, value, write, autofocus = false, secret = false }: Asked): preact.JSX.Element {
  return (
    <label>
      {label}
      <input
        name={name}
        {...(secret ? { type: 'password' as const } : { type: 'text' as const })}
        autocomplete={fill}
        autofocus={autofocus}
        value={value}
        data-testid={`login-${name}`}
        onInput={(e) => write(e.currentTarget.value)}
      />
    </label>
  );
}
