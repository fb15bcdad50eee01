// The predictions of the phones in the hall: the presenter asks them, and the goal ends the answers.

const STATE_MS = 500;

export class Votes {
  // The question as the hall shows it, and the number of phones; null while none is asked.
  question = null;
  joined = 0;

  #onUpdate;
  #isAsking = false;

  // Calls `onUpdate` whenever the number of answers may have changed.
  constructor(onUpdate) {
    this.#onUpdate = onUpdate;
  }

  // The number of answers.
  get count() {
    return this.question?.answers ?? 0;
  }

  // Whether it is known what they are, which is so once they have ended.
  get areKnown() {
    return this.count > 0 && this.question.counts !== null;
  }

  // How many phones have said that this transport is last, once that is known.
  of(transport) {
    return this.question.counts[this.question.choices.indexOf(transport)] ?? 0;
  }

  // The transport that most phones have chosen.
  get favourite() {
    const { choices } = this.question;
    return choices.toSorted((a, b) => this.of(b) - this.of(a))[0];
  }

  // Asks the phones, and follows their answers until the question is ended.
  async ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    await this.#change({ ask: { kind: 'goal' } });
    await this.#update();
    this.#isAsking = false;
    const id = this.question?.id;
    while (this.question && this.question.id === id && !this.question.shown) {
      await new Promise((resolve) => setTimeout(resolve, STATE_MS));
      await this.#update();
    }
  }

  // Ends the answers.
  async end() {
    if (!this.question || this.question.shown) return;
    this.question.shown = true;
    await this.#change({ show: true, question: this.question.id });
    await this.#update();
  }

  // Closes the question, also while the page is being left.
  close() {
    if (this.question) this.#change({ close: true, question: this.question.id });
    this.question = null;
  }

  async #update() {
    const state = await fetch('/hall/state', { cache: 'no-store' }).then((response) => response.json()).catch(() => null);
    // Another question may have been asked on the hall's page.
    if (state) Object.assign(this, { question: state.question?.kind === 'goal' ? state.question : null, joined: state.joined });
    this.#onUpdate();
  }

  // The hall refuses to end or to close a question that is not the asked one any more.
  #change(changes) {
    return fetch('/hall/control', { method: 'POST', body: JSON.stringify(changes), keepalive: true }).catch(() => {});
  }
}
