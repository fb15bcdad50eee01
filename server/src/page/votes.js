// The predictions of the phones in the hall: the presenter asks them, and the goal ends the question.

const STATE_MS = 500;

export class Votes {
  // The question as the hall shows it, and the number of phones; null while none is asked.
  question = null;
  joined = 0;

  #onUpdate;

  // Calls `onUpdate` whenever the number of answers may have changed.
  constructor(onUpdate) {
    this.#onUpdate = onUpdate;
  }

  // The number of answers.
  get count() {
    return this.question?.counts.reduce((sum, count) => sum + count, 0) ?? 0;
  }

  // How many phones have said that this transport is last.
  of(transport) {
    return this.question?.counts[this.question.choices.indexOf(transport)] ?? 0;
  }

  // The transport that most phones have chosen.
  get favourite() {
    const { choices } = this.question;
    return choices.toSorted((a, b) => this.of(b) - this.of(a))[0];
  }

  // Asks the phones, and follows their answers until the question is ended.
  async ask() {
    await this.#change({ ask: { kind: 'goal' } });
    do {
      await this.#update();
      await new Promise((resolve) => setTimeout(resolve, STATE_MS));
    } while (this.question && !this.question.shown);
  }

  // Ends the answers.
  async end() {
    if (!this.question || this.question.shown) return;
    this.question.shown = true;
    await this.#change({ show: true });
    await this.#update();
  }

  // Closes the question.
  close() {
    if (this.question) this.#change({ close: true });
    this.question = null;
  }

  async #update() {
    const state = await fetch('/hall/state', { cache: 'no-store' }).then((response) => response.json()).catch(() => null);
    // Another question may have been asked on the hall's page.
    if (state) Object.assign(this, { question: state.question?.kind === 'goal' ? state.question : null, joined: state.joined });
    this.#onUpdate();
  }

  #change(changes) {
    return fetch('/hall/control', { method: 'POST', body: JSON.stringify(changes) }).catch(() => {});
  }
}
