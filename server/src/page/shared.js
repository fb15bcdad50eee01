// A tab's end of the subscriptions that it shares with others: what it has seen of them, and its orders to them.

import { KEPT_MS } from './lane.js';

// Thirty times a second is smooth enough, and leaves the processor to the subscriptions.
const ASK_MS = 33;

export class Shared {
  // By lane: { name, its figures, deliveries, crossings }, times in ms of the server's clock.
  lanes = [];
  published = [];
  settings = null;
  pollInterval = null;
  server = null;
  error = null;
  handshake = null;

  #port = null;
  #seen = 0;
  #askedAt = null;
  #offset = -Infinity;
  #started;
  #told;

  // Resolves once the lanes are known.
  ready = new Promise((resolve) => (this.#started = resolve));

  // Calls `told` after each answer.
  constructor(told) {
    this.#told = told;
    this.#connect();
    setInterval(() => this.#ask(), ASK_MS);
  }

  // Now, in ms of the server's clock.
  now() {
    return performance.now() + this.#offset;
  }

  order(order, details = {}) {
    this.#port.postMessage({ order, ...details });
  }

  // Shares a worker with the other tabs. Where there is none (Chrome on Android had none for long, and a browser that keeps nothing has
  // none), this tab subscribes for itself, for as long as it is seen.
  #connect() {
    try {
      const worker = new SharedWorker('/page/worker.js', { type: 'module', name: 'transport-lab' });
      worker.onerror = () => this.#subscribeHere();
      this.#use(worker.port);
    } catch {
      this.#subscribeHere();
    }
  }

  #subscribeHere() {
    const { port1, port2 } = new MessageChannel();
    this.#use(port1);
    import('./subscriptions.js').then(({ Subscriptions }) => new Subscriptions().serve(port2));
    const rest = (resting) => this.order('rest', { resting });
    document.addEventListener('visibilitychange', () => rest(document.hidden));
    addEventListener('pagehide', () => rest(true));
    if (document.hidden) rest(true);
  }

  #use(port) {
    this.#port = port;
    this.#seen = 0;
    this.#askedAt = null;
    port.onmessage = ({ data }) => this.#take(data);
  }

  #ask() {
    if (this.#askedAt !== null) return;
    this.#askedAt = performance.now();
    this.#port.postMessage({ since: this.#seen });
  }

  #take({ now, next, log, lanes, ...rest }) {
    // It said `now` between our question and this moment.
    this.#offset = Math.min(now - this.#askedAt, Math.max(now - performance.now(), this.#offset));
    this.#askedAt = null;
    this.#seen = next;
    Object.assign(this, rest);
    for (const { name, figures } of lanes) {
      if (!this.lanes.some((lane) => lane.name === name)) this.lanes.push({ name, deliveries: [], crossings: [] });
      Object.assign(this.#lane(name), figures);
    }
    for (const happened of log) this.#happened(happened);
    this.#forget();
    this.#started();
    this.#told();
  }

  #lane(name) {
    return this.lanes.find((lane) => lane.name === name);
  }

  #happened(happened) {
    const lane = this.#lane(happened.lane);
    if (happened.kind === 'delivery') lane.deliveries.push(happened);
    else if (happened.kind === 'crossing') lane.crossings.push(happened.crossing);
    else if (happened.kind === 'arrival') {
      const crossing = lane.crossings.findLast(({ id }) => id === happened.crossing);
      if (crossing) crossing.arrived = happened.at;
    } else if (happened.kind === 'published') this.published.push(happened);
    else if (happened.kind === 'afresh') {
      this.published.length = 0;
      for (const lane of this.lanes) lane.deliveries.length = lane.crossings.length = 0;
    }
  }

  // Forgets what is too old to be shown.
  #forget() {
    const oldest = this.now() - KEPT_MS;
    const forget = (list, when) => {
      const young = list.findIndex((entry) => when(entry) > oldest);
      list.splice(0, young < 0 ? list.length : young);
    };
    forget(this.published, ({ at }) => at);
    for (const { deliveries, crossings } of this.lanes) {
      forget(deliveries, ({ there }) => there);
      forget(crossings, ({ at }) => at);
    }
  }
}
