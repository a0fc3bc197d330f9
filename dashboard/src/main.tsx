/** Start: language, address, session, page. */
import '@fontsource-variable/noto-sans-sc/wght.css';
import './styles/base.css';
import './styles/screen.css';
import './styles/alerts.css';
import './styles/map.css';
import './styles/phone.css';

import { render } from 'preact';

import { api } from './live/api';
import { enter, leave } from './live/session';
import { App } from './shell/app';
import { setLang, startLang } from './shell/langswitch';
import { followAddress } from './shell/route';

followAddress();
setLang(startLang());
render(<App />, document.getElementById('app') as HTMLElement);
void api.me().then(enter, leave);
