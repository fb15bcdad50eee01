// The one set of subscriptions that all tabs of a browser share: five lanes, what the server saw on their sockets, and the controls.
//
// A browser opens six connections of HTTP/1.1 to a host, for all its tabs together, and three of the lanes hold one each. So the
// lanes belong to no tab. What happens to them is written to a log; each tab asks for what it has not seen of it, and draws that.

import { Clock } from './clock.js';
import { KEPT_MS, Lane } from './lane.js';
import { watch } from './watch.js';
import { subscribe as polling } from './transport/polling.js';
import { subscribe as longPolling } from './transport/long_polling.js';
import { subscribe as ndjson } from './transport/ndjson.js';
import { subscribe as sse } from './transport/sse.js';
import { subscribe as websocket } from './transport/websocket.js';

const FORGET_MS = 500;
const AGAIN_MS = 1000;
// The server takes no polls that come faster, in ms.
const MIN_POLL_INTERVAL_MS = 20;
// Between the watcher's return and the lanes', so that it sees the first bytes of each, in ms.
const BEHIND_MS = 100;

export class Subscriptions {
  #session = {
    id: '',
    clock: new Clock(),
    pollInterval: 1000,
  };
  #lanes = [
    ['polling', polling],
    ['long_polling', longPolling],
    ['ndjson', ndjson],
    ['sse', sse],
    ['websocket', websocket],
  ].map(([name, subscribe]) => new Lane(name, subscribe, this.#session, (happened) => this.#tell(happened)));
  // What happened in the last minute, and how much of what happened before is gone from here.
  #log = [];
  #gone = 0;
  #settings = null;
  // Whether the server watches the lanes: 'there', 'away', or 'refused' where it watches too many; null until one of them is known.
  #server = null;
  #resting = false;
  #handshake = null;
  #watch = null;
  // The presenter's page says here that this browser has the presenter's rights from now on; see presenter.js.
  #rights = new BroadcastChannel('rights');

  constructor() {
    // A connection has the rights that it was opened with.
    this.#rights.onmessage = () => this.#watch?.again();
    this.#begin();
  }

  // Serves a tab: { since } is answered with what happened since then, { order } is done.
  serve(port) {
    port.onmessage = ({ data }) => {
      if (data.order) this.#orders[data.order](data);
      else port.postMessage(this.#since(data.since));
    };
  }

  async #begin() {
    for (;;) {
      try {
        await this.#session.clock.set();
        // All lanes begin behind the same event.
        const { head, epoch } = await (await fetch('/load', { cache: 'no-store' })).json();
        for (const lane of this.#lanes) Object.assign(lane, { cursor: head, epoch });
        break;
      } catch {
        this.#server = 'away';
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
    this.#session.clock.keep();
    this.#watch = watch(this.#session, (message) => this.#told(message));
    setInterval(() => this.#forget(), FORGET_MS);
  }

  #since(seen) {
    return {
      now: this.#session.clock.now(),
      error: this.#session.clock.error,
      next: this.#gone + this.#log.length,
      log: this.#log.slice(Math.max(0, seen - this.#gone)),
      lanes: this.#lanes.map(({ name, figures }) => ({ name, figures })),
      settings: this.#settings,
      pollInterval: this.#session.pollInterval,
      server: this.#server,
      handshake: this.#handshake,
    };
  }

  #orders = {
    publish: () => this.#post('/publish', new Date().toLocaleTimeString()),
    burst: ({ events }) => this.#post('/control', JSON.stringify({ burst: events })),
    cut: () => this.#post('/control', JSON.stringify({ cut: this.#session.id })),
    settings: ({ rate, payload }) => this.#post('/control', JSON.stringify({ rate, payload })),
    pollInterval: ({ ms }) => (this.#session.pollInterval = Math.max(MIN_POLL_INTERVAL_MS, ms)),
    // Publishes over the lane's own way up: a frame where the connection takes one, a request of its own where not.
    send: ({ name, text }) => {
      const lane = this.#lane(name);
      if (lane.send) return lane.send(text);
      lane.asked();
      this.#post(`/publish?lane=${lane.id}`, text).then(() => lane.answered());
    },
    pick: ({ name, wanted }) => {
      const lane = this.#lane(name);
      lane.wanted = wanted;
      if (wanted) lane.run();
      else lane.stop();
    },
    afresh: () => {
      this.#lanes.forEach((lane) => lane.reset());
      this.#gone += this.#log.length;
      this.#log = [];
      this.#tell({ kind: 'afresh' });
    },
    // Where tabs share nothing, the one that is hidden leaves the connections to the others.
    rest: ({ resting }) => {
      this.#resting = resting;
      if (resting) this.#lanes.forEach((lane) => lane.stop());
      else if (this.#watch) this.#open();
    },
  };

  #lane(name) {
    return this.#lanes.find((lane) => lane.name === name);
  }

  #post(path, body) {
    return fetch(path, { method: 'POST', body }).catch(() => {});
  }

  // Opens the lanes' connections, anew if they are open: nobody saw what was opened while the watcher was away, and so nobody would
  // see what crosses it.
  #open() {
    this.#lanes.forEach((lane) => lane.stop());
    setTimeout(() => {
      if (!this.#resting) this.#lanes.filter((lane) => lane.wanted).forEach((lane) => lane.run());
    }, BEHIND_MS);
  }

  #told(message) {
    if (message.kind === 'crossing') {
      const lane = this.#lane(message.lane);
      lane?.crossed(message);
      if (lane?.name === 'websocket') this.#learn(message);
    } else if (message.kind === 'published') {
      this.#tell(message);
    } else if (message.kind === 'settings') {
      this.#settings = message;
    } else if (message.kind === 'there') {
      this.#server = 'there';
      this.#open();
    } else if (message.kind === 'away' || message.kind === 'refused') {
      // Without anybody to watch them, lanes go on; and those that have not begun begin.
      if (this.#server !== message.kind && this.#lanes.every((lane) => lane.state === 'off')) this.#open();
      this.#server = message.kind;
    }
  }

  // Keeps the two heads of the WebSocket's handshake, the newest of each.
  #learn({ up, data }) {
    const head = new TextDecoder().decode(data);
    if (up && head.startsWith('GET ')) this.#handshake = { request: head, response: null };
    else if (head.startsWith('HTTP/') && this.#handshake) this.#handshake = { ...this.#handshake, response: head };
  }

  #tell(happened) {
    this.#log.push({ when: this.#session.clock.now(), ...happened });
  }

  #forget() {
    this.#lanes.forEach((lane) => lane.forget());
    const young = this.#log.findIndex(({ when }) => when > this.#session.clock.now() - KEPT_MS);
    const old = young < 0 ? this.#log.length : young;
    this.#log.splice(0, old);
    this.#gone += old;
  }
}
