// A lane: one subscription, what came over it and when, and how it goes on when its connection is lost.

import { eventsIn } from './bytes.js';

const AGAIN_MS = 300;
// What is kept to look back at, in ms.
const KEPT_MS = 60_000;
// By less than this do the page's clock and the server's differ once it is set, in ms.
const CLOCKS_MS = 1_000;

export class Lane {
  // The last event it has; the next request says so.
  cursor = 0;
  // The feed that this is an event of. It is always said: the server may have been started anew, and a browser repeats a poll whose
  // connection was lost without a word to us.
  epoch = 0;
  state = 'off';
  received = 0;
  missed = 0;
  repeated = 0;
  reconnects = 0;
  requests = 0;
  connections = new Set();
  bytes = { up: 0, down: 0, event: 0 };
  notes = [];
  // Deliveries: when, how late, and which; times in ms of the server's clock.
  deliveries = [];
  // What crossed the wire: up, left, arrived, size, data, seqs.
  crossings = [];
  // How the page sends over this lane's own connection, where the transport can.
  send = null;

  #subscribe;
  #page;
  #stop = null;
  // When requests left, and crossings whose arrival is not known yet.
  #asks = [];
  #comings = [];
  #answers = 0;

  constructor(name, subscribe, page) {
    this.name = name;
    this.#subscribe = subscribe;
    this.#page = page;
  }

  get id() {
    return `${this.#page.session}.${this.name}`;
  }

  // Where the transport asks: behind the cursor, under the lane's name.
  address(path) {
    return `${location.origin}${path}?after=${this.cursor}-${this.epoch}&lane=${this.id}`;
  }

  pollInterval() {
    return this.#page.pollInterval;
  }

  // Subscribes until it is told to stop; a lost connection is resumed behind the cursor.
  async run() {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.state = 'on';
    while (!signal.aborted) {
      try {
        await this.#subscribe(this, signal);
      } catch {
        if (signal.aborted) break;
        this.reconnects += 1;
        this.state = 'lost';
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
    this.state = 'off';
  }

  stop() {
    this.#stop?.abort(new Error('stopped'));
    this.state = 'off';
  }

  // A request leaves the page.
  asked() {
    this.#asks.push(this.#page.clock.now());
  }

  // The answer to it is there, or its head at least.
  answered() {
    this.state = 'on';
    this.#answers = this.#page.clock.now();
    const next = this.#comings.findIndex((crossing) => crossing.seqs.length === 0);
    if (next >= 0) this.#comings.splice(next, 1)[0].arrived = this.#answers;
  }

  event(json) {
    const now = this.#page.clock.now();
    const { seq, at } = JSON.parse(json);
    if (seq <= this.cursor) {
      this.repeated += 1;
      return;
    }
    this.missed += seq - this.cursor - 1;
    this.cursor = seq;
    this.received += 1;
    this.state = 'on';
    this.deliveries.push({ seq, at: at / 1e6, there: now, late: now - at / 1e6 });
    const carried = this.#comings.findIndex((crossing) => crossing.seqs.includes(seq));
    if (carried >= 0) this.#comings.splice(carried, 1)[0].arrived = now;
  }

  // Events have left the history before we had them; or the feed is another, and how much is gone of the last one nobody can say.
  gap({ oldest, epoch }) {
    const had = epoch === this.epoch ? this.cursor : 0;
    this.missed += Math.max(0, oldest - 1 - had);
    this.cursor = oldest - 1;
    this.epoch = epoch;
  }

  // What the browser's interface told, as it fired.
  note(what) {
    this.notes.unshift({ at: this.#page.clock.now(), what });
    this.notes.length = Math.min(this.notes.length, 8);
  }

  // The server saw bytes cross this lane's socket.
  crossed({ up, at, size, data, connection, watch }) {
    const seqs = up ? [] : eventsIn(data);
    const crossing = { up, at, left: at, arrived: up ? at : null, size, data, watch, seqs: seqs.map((event) => event.seq) };
    this.connections.add(connection);
    this.bytes[up ? 'up' : 'down'] += size;
    this.bytes.event += seqs.reduce((sum, event) => sum + event.length, 0);
    if (up) {
      if (/^(GET|POST) /.test(String.fromCharCode(...data.subarray(0, 5)))) {
        this.requests += 1;
        // Those before it went to a server that is gone, or were not seen.
        const left = this.#asks.filter((asked) => asked <= at).at(-1);
        this.#asks = this.#asks.filter((asked) => asked > at);
        if (left !== undefined) crossing.left = left;
      }
    } else {
      // The page may have had it before the server's word of it came. The same number long before is another feed's.
      const seen = this.deliveries.findLast(({ seq, there }) => there > at - CLOCKS_MS && crossing.seqs.includes(seq));
      if (seen) crossing.arrived = seen.there;
      else if (crossing.seqs.length === 0 && this.#answers >= at) crossing.arrived = this.#answers;
      else this.#comings.push(crossing);
    }
    this.crossings.push(crossing);
  }

  // Forgets what is too old to be shown.
  forget(now) {
    const young = (when) => when > now - KEPT_MS;
    const old = (list, when) => {
      const first = list.findIndex((entry) => young(when(entry)));
      list.splice(0, first < 0 ? list.length : first);
    };
    old(this.deliveries, (delivery) => delivery.there);
    old(this.crossings, (crossing) => crossing.at);
    old(this.#comings, (crossing) => crossing.at);
    old(this.#asks, (at) => at);
  }

  // Begins its counts anew.
  reset() {
    this.received = this.missed = this.repeated = this.reconnects = this.requests = 0;
    this.bytes = { up: 0, down: 0, event: 0 };
    this.connections.clear();
    this.deliveries.length = this.crossings.length = this.notes.length = this.#comings.length = this.#asks.length = 0;
  }
}
