/** One broken panel must not blank the screen. */
import { Component, type ComponentChildren } from 'preact';

import { t } from '../i18n';

export class Boundary extends Component<{ children: ComponentChildren }, { broken: boolean }> {
  override state = { broken: false };

  override componentDidCatch(error: unknown): void {
    console.error(error);
    this.setState({ broken: true });
  }

  override render(): ComponentChildren {
    if (!this.state.broken) return this.props.children;
    return (
      <div class="card problem">
        {t('panelBroken')}{' '}
        <button type="button" onClick={() => this.setState({ broken: false })}>{t('retry')}</button>
      </div>
    );
  }
}
