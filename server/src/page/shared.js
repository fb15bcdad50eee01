// A tab's connection to the subscriptions that all tabs share: polls for what has happened, and sends orders.

import { makeElement } from './document.js';
import { KEPT_MS } from './lane.js';

// Thirty times a second is smooth enough, and leaves the processor to the subscriptions.
const POLL_MS = 33;

export class SharedSubscriptions {
  // For each lane: { name, its figures, deliveries, chunks, cuts }. Times are in ms of the server's clock.
  all = [];
  // Those of them that the page shows.
  lanes = [];
  published = [];
  settings = null;
  pollInterval = null;
  server = null;
  error = null;
  handshake = null;

  #port = null;
  #seen = 0;
  #requestedAt = null;
  #offset = -Infinity;
  #resolveReady;
  #onUpdate;

  // Resolves once the lanes are known.
  ready = new Promise((resolve) => (this.#resolveReady = resolve));

  // Calls `onUpdate` after each response.
  constructor(onUpdate) {
    this.#onUpdate = onUpdate;
    this.#connect();
    setInterval(() => this.#poll(), POLL_MS);
  }

  // The current time of the server's clock, in ms.
  now() {
    return performance.now() + this.#offset;
  }

  // Has the subscriptions do something: see #orders in subscriptions.js.
  order(order, details = {}) {
    this.#port.postMessage({ order, ...details });
  }

  // Connects to a shared worker. Without one (Chrome on Android had none for a long time, and a browser without storage has none), this
  // tab subscribes by itself, while it is visible.
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
    const suspend = (suspended) => this.order('suspend', { suspended });
    document.addEventListener('visibilitychange', () => suspend(document.hidden));
    addEventListener('pagehide', () => suspend(true));
    if (document.hidden) suspend(true);
  }

  #use(port) {
    this.#port = port;
    this.#seen = 0;
    this.#requestedAt = null;
    port.onmessage = ({ data }) => {
      if (data.element) makeElement(data.element, (element) => port.postMessage({ element }));
      else this.#receive(data);
    };
  }

  #poll() {
    if (this.#requestedAt !== null) return;
    this.#requestedAt = performance.now();
    this.#port.postMessage({ since: this.#seen });
  }

  #receive({ now, next, log, lanes, ...rest }) {
    // `now` was read between the request and this moment, which bounds the offset on both sides.
    this.#offset = Math.min(now - this.#requestedAt, Math.max(now - performance.now(), this.#offset));
    this.#requestedAt = null;
    this.#seen = next;
    Object.assign(this, rest);
    for (const { name, figures } of lanes) {
      if (!this.all.some((lane) => lane.name === name)) this.all.push({ name, deliveries: [], chunks: [], cuts: [] });
      Object.assign(this.#lane(name), figures);
    }
    for (const entry of log) this.#apply(entry);
    this.#discardOld();
    this.#resolveReady();
    this.#onUpdate();
  }

  #lane(name) {
    return this.all.find((lane) => lane.name === name);
  }

  #apply(entry) {
    const lane = this.#lane(entry.lane);
    if (entry.kind === 'delivery') lane.deliveries.push(entry);
    else if (entry.kind === 'chunk') lane.chunks.push(entry.chunk);
    else if (entry.kind === 'cut') lane.cuts.push(entry);
    else if (entry.kind === 'arrival' || entry.kind === 'lost') {
      const chunk = lane.chunks.findLast(({ id }) => id === entry.chunk);
      if (chunk) chunk[entry.kind === 'lost' ? 'lostAt' : 'arrivedAt'] = entry.at;
    } else if (entry.kind === 'published') this.published.push(entry);
    else if (entry.kind === 'reset') {
      this.published.length = 0;
      for (const lane of this.all) lane.deliveries.length = lane.chunks.length = lane.cuts.length = 0;
    }
  }

  // Discards what is too old to be shown.
  #discardOld() {
    const oldest = this.now() - KEPT_MS;
    const discard = (list, when) => {
      const young = list.findIndex((entry) => when(entry) > oldest);
      list.splice(0, young < 0 ? list.length : young);
    };
    discard(this.published, ({ at }) => at);
    for (const { deliveries, chunks, cuts } of this.all) {
      discard(deliveries, ({ receivedAt }) => receivedAt);
      discard(chunks, ({ at }) => at);
      discard(cuts, ({ at }) => at);
    }
  }
}
